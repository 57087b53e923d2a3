"""Side-by-side measurements of BCENeuronClassifier and what else fits logistic regressions."""
