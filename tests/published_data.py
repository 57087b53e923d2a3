"""Data sets of publications, with the numbers that were published for them.

Data are facts; the sources of the tables and of the numbers stand beside them.
"""

import numpy as np

# Histology grade (HG) of 79 cases of endometrial cancer by neovascularisation (NV), pulsatility
# index of the arteria uterina (PI) and endometrium height (EH): G. Heinze and M. Schemper, "A
# Solution to the Problem of Separation in Logistic Regression", Statistics in Medicine 21 (2002),
# 2409-2419, as printed in A. Agresti, "Foundations of Linear and Generalized Linear Models", 2015.
# Columns: NV, PI, EH, HG.
_ENDOMETRIAL = """
0 13 1.64 0  0 16 2.26 0  0  8 3.14 0  0 34 2.68 0  0 20 1.28 0  0  5 2.31 0  0 17 1.80 0
0 10 1.68 0  0 26 1.56 0  0 17 2.31 0  0  8 2.01 0  0  7 1.89 0  0 20 3.15 0  0 10 1.23 0
0 18 1.27 0  0 16 1.76 0  0 18 2.00 0  0  8 2.64 1  0 29 0.88 1  0 12 1.27 1  0 20 1.37 1
1 38 0.97 1  1 22 1.14 1  1  7 0.88 1  1 25 0.91 1  1 15 0.58 1  0  7 0.97 1  0 28 1.50 0
0 11 1.33 0  0 19 2.37 0  0 10 1.82 0  0 10 3.13 0  0 18 1.31 0  0 14 1.92 0  0 21 1.64 0
0 11 2.01 0  0 17 1.88 0  0 25 1.93 0  0 16 2.11 0  0 19 1.29 0  0 15 1.72 0  0 33 0.75 0
0 24 1.92 0  0 48 1.84 1  0 12 1.11 1  0 19 1.61 1  0  2 1.18 1  1 22 1.44 1  1 40 1.18 1
1  5 0.93 1  1  0 1.17 1  0 21 1.19 1  0 15 1.06 1  0 29 2.02 0  0 15 2.29 0  0 12 2.33 0
0  3 2.90 0  0 20 1.70 0  0 23 1.41 0  0 12 2.25 0  0 22 1.54 0  0 42 1.97 0  0 15 1.75 0
0 13 2.16 0  0 14 2.57 0  0 19 1.37 0  0 12 3.61 0  0 13 2.04 0  0 10 2.17 0  0 12 1.69 1
1 49 0.27 1  0  6 1.84 1  0  5 1.30 1  0 17 0.96 1  1 11 1.01 1  1 21 0.98 1  0  5 0.35 1
1 19 1.02 1  0 33 0.85 1
"""
_table = np.array(_ENDOMETRIAL.split(), dtype=float).reshape(-1, 4)
ENDOMETRIAL = _table[:, :3], _table[:, 3].astype(int)
ENDOMETRIAL_NAMES = ["NV", "PI", "EH"]
# Coefficients (NV, PI, EH, intercept) and profile intervals of the R package logistf by the authors
# of the method, and standard errors and deviance of the R package brglm2 (its README).
ENDOMETRIAL_COEF = [2.92927330, -0.03475175, -2.60416387, 3.77455951]
ENDOMETRIAL_STD_ERR = [1.55076, 0.03958, 0.77602, 1.48869]
ENDOMETRIAL_Z = [1.889, -0.878, -3.356, 2.535]
ENDOMETRIAL_P = [0.058902, 0.379915, 0.000791, 0.011229]
ENDOMETRIAL_DEVIANCE, ENDOMETRIAL_NULL_DEVIANCE, ENDOMETRIAL_AIC = 56.575, 104.903, 64.575
ENDOMETRIAL_PROFILE = [
    [0.6097244, 7.85463171],
    [-0.1244587, 0.04045547],
    [-4.3651832, -1.23272106],
    [1.0825371, 7.20928050],
]

# Case-control study of urinary tract infection (case) by use of contraceptives: age, oral (oc),
# condom (vic), lubricated condom (vicl), spermicide (vis), diaphragm (dia). Data set sex2 of the R
# package logistf; each line has case, the six features and the number of women.
_SEX2 = """
1 0 0 0 0 1 0  1   1 0 0 1 0 0 0 14   1 0 0 1 0 1 0  3   1 0 0 1 1 0 0 10   1 0 0 1 1 1 0 12
1 0 0 1 1 1 1  1   1 0 1 0 0 0 0 44   1 0 1 0 0 0 1  3   1 0 1 1 0 0 0 15   1 0 1 1 0 0 1  1
1 0 1 1 0 1 0  2   1 0 1 1 1 0 0  7   1 0 1 1 1 1 0  3   1 1 0 1 0 0 0  2   1 1 0 1 0 1 0  1
1 1 0 1 0 1 1  1   1 1 0 1 1 0 0  1   1 1 0 1 1 1 1  1   1 1 1 0 0 0 0  5   1 1 1 1 0 0 0  3
0 0 0 0 0 1 0  1   0 0 0 1 0 0 0  2   0 0 0 1 0 1 0  1   0 0 0 1 1 0 0  8   0 0 0 1 1 1 0 18
0 0 1 0 0 0 0 42   0 0 1 0 0 1 0  1   0 0 1 1 0 0 0  1   0 0 1 1 1 0 0  5   0 0 1 1 1 1 0  6
0 1 0 1 1 0 0  2   0 1 0 1 1 1 0  4   0 1 1 0 0 0 0 14   0 1 1 0 0 1 0  1   0 1 1 1 0 0 0  1
0 1 1 1 1 1 0  2
"""
_table = np.array(_SEX2.split(), dtype=float).reshape(-1, 8)
SEX2 = _table[:, 1:7], _table[:, 0].astype(int), _table[:, 7]  # X, y, number of women
SEX2_NAMES = ["age", "oc", "vic", "vicl", "vis", "dia"]
# Of logistf: coefficients, the intercept last, and profile intervals.
SEX2_COEF = [
    -1.10598131, -0.06881673, 2.26887464, -2.11140817, -0.78831694, 3.09601166, 0.12025405,
]  # fmt: skip
SEX2_PROFILE = [
    [-1.9737884, -0.30742514],
    [-0.9414363, 0.78920202],
    [1.2730216, 3.43543273],
    [-3.2608611, -1.11773495],
    [-1.6080879, 0.01518468],
    [0.7745682, 8.03029352],
    [-0.8185591, 1.07315122],
]

# Thermal distress of O-rings in 23 flights of the space shuttle before the Challenger accident, by
# temperature at launch in °F: S. Dalal, E. Fowlkes and B. Hoadley, "Risk Analysis of the Space
# Shuttle", Journal of the American Statistical Association 84 (1989).
ORING_TEMPERATURE = np.array(
    [66, 70, 69, 68, 67, 72, 73, 70, 57, 63, 70, 78, 67, 53, 67, 75, 70, 81, 76, 79, 75, 76, 58.0]
)[:, np.newaxis]
ORING_DISTRESS = np.array([0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1])
# A. Agresti, "Categorical Data Analysis": temperature and intercept, and the deviances.
ORING_COEF, ORING_STD_ERR = [-0.2322, 15.0429], [0.1082, 7.3786]
ORING_DEVIANCE, ORING_NULL_DEVIANCE = 20.315, 28.267

# Low birth weight of 189 children: D. Hosmer and S. Lemeshow, "Applied Logistic Regression", 1989,
# as in the tests of statsmodels and the manual of Stata. Columns: low, age, weight of the mother in
# pounds, race (1 white, 2 black, 3 other), smoke, ptl, ht, ui.
_LOW_BIRTH_WEIGHT = """
0 19 182 2 0 0 0 1  0 33 155 3 0 0 0 0  0 20 105 1 1 0 0 0  0 21 108 1 1 0 0 1
0 18 107 1 1 0 0 1  0 21 124 3 0 0 0 0  0 22 118 1 0 0 0 0  0 17 103 3 0 0 0 0
0 29 123 1 1 0 0 0  0 26 113 1 1 0 0 0  0 19 95 3 0 0 0 0  0 19 150 3 0 0 0 0  0 22 95 3 0 0 1 0
0 30 107 3 0 1 0 1  0 18 100 1 1 0 0 0  0 18 100 1 1 0 0 0  0 15 98 2 0 0 0 0
0 25 118 1 1 0 0 0  0 20 120 3 0 0 0 1  0 28 120 1 1 0 0 0  0 32 121 3 0 0 0 0
0 31 100 1 0 0 0 1  0 36 202 1 0 0 0 0  0 28 120 3 0 0 0 0  0 25 120 3 0 0 0 1
0 28 167 1 0 0 0 0  0 17 122 1 1 0 0 0  0 29 150 1 0 0 0 0  0 26 168 2 1 0 0 0
0 17 113 2 0 0 0 0  0 17 113 2 0 0 0 0  0 24 90 1 1 1 0 0  0 35 121 2 1 1 0 0
0 25 155 1 0 0 0 0  0 25 125 2 0 0 0 0  0 29 140 1 1 0 0 0  0 19 138 1 1 0 0 0
0 27 124 1 1 0 0 0  0 31 215 1 1 0 0 0  0 33 109 1 1 0 0 0  0 21 185 2 1 0 0 0
0 19 189 1 0 0 0 0  0 23 130 2 0 0 0 0  0 21 160 1 0 0 0 0  0 18 90 1 1 0 0 1  0 18 90 1 1 0 0 1
0 32 132 1 0 0 0 0  0 19 132 3 0 0 0 0  0 24 115 1 0 0 0 0  0 22 85 3 1 0 0 0
0 22 120 1 0 0 1 0  0 23 128 3 0 0 0 0  0 22 130 1 1 0 0 0  0 30 95 1 1 0 0 0
0 19 115 3 0 0 0 0  0 16 110 3 0 0 0 0  0 21 110 3 1 0 0 1  0 30 153 3 0 0 0 0
0 20 103 3 0 0 0 0  0 17 119 3 0 0 0 0  0 17 119 3 0 0 0 0  0 23 119 3 0 0 0 0
0 24 110 3 0 0 0 0  0 28 140 1 0 0 0 0  0 26 133 3 1 2 0 0  0 20 169 3 0 1 0 1
0 24 115 3 0 0 0 0  0 28 250 3 1 0 0 0  0 20 141 1 0 2 0 1  0 22 158 2 0 1 0 0
0 22 112 1 1 2 0 0  0 31 150 3 1 0 0 0  0 23 115 3 1 0 0 0  0 16 112 2 0 0 0 0
0 16 135 1 1 0 0 0  0 18 229 2 0 0 0 0  0 25 140 1 0 0 0 0  0 32 134 1 1 1 0 0
0 20 121 2 1 0 0 0  0 23 190 1 0 0 0 0  0 22 131 1 0 0 0 0  0 32 170 1 0 0 0 0
0 30 110 3 0 0 0 0  0 20 127 3 0 0 0 0  0 23 123 3 0 0 0 0  0 17 120 3 1 0 0 0
0 19 105 3 0 0 0 0  0 23 130 1 0 0 0 0  0 36 175 1 0 0 0 0  0 22 125 1 0 0 0 0
0 24 133 1 0 0 0 0  0 21 134 3 0 0 0 0  0 19 235 1 1 0 1 0  0 25 95 1 1 3 0 1
0 16 135 1 1 0 0 0  0 29 135 1 0 0 0 0  0 29 154 1 0 0 0 0  0 19 147 1 1 0 0 0
0 19 147 1 1 0 0 0  0 30 137 1 0 0 0 0  0 24 110 1 0 0 0 0  0 19 184 1 1 0 1 0
0 24 110 3 0 1 0 0  0 23 110 1 0 0 0 0  0 20 120 3 0 0 0 0  0 25 241 2 0 0 1 0
0 30 112 1 0 0 0 0  0 22 169 1 0 0 0 0  0 18 120 1 1 0 0 0  0 16 170 2 0 0 0 0
0 32 186 1 0 0 0 0  0 18 120 3 0 0 0 0  0 29 130 1 1 0 0 0  0 33 117 1 0 0 0 1
0 20 170 1 1 0 0 0  0 28 134 3 0 0 0 0  0 14 135 1 0 0 0 0  0 28 130 3 0 0 0 0
0 25 120 1 0 0 0 0  0 16 95 3 0 0 0 0  0 20 158 1 0 0 0 0  0 26 160 3 0 0 0 0
0 21 115 1 0 0 0 0  0 22 129 1 0 0 0 0  0 25 130 1 0 0 0 0  0 31 120 1 0 0 0 0
0 35 170 1 0 1 0 0  0 19 120 1 1 0 0 0  0 24 116 1 0 0 0 0  0 45 123 1 0 0 0 0
1 28 120 3 1 1 0 1  1 29 130 1 0 0 0 1  1 34 187 2 1 0 1 0  1 25 105 3 0 1 1 0
1 25 85 3 0 0 0 1  1 27 150 3 0 0 0 0  1 23 97 3 0 0 0 1  1 24 128 2 0 1 0 0  1 24 132 3 0 0 1 0
1 21 165 1 1 0 1 0  1 32 105 1 1 0 0 0  1 19 91 1 1 2 0 1  1 25 115 3 0 0 0 0
1 16 130 3 0 0 0 0  1 25 92 1 1 0 0 0  1 20 150 1 1 0 0 0  1 21 200 2 0 0 0 1
1 24 155 1 1 1 0 0  1 21 103 3 0 0 0 0  1 20 125 3 0 0 0 1  1 25 89 3 0 2 0 0
1 19 102 1 0 0 0 0  1 19 112 1 1 0 0 1  1 26 117 1 1 1 0 0  1 24 138 1 0 0 0 0
1 17 130 3 1 1 0 1  1 20 120 2 1 0 0 0  1 22 130 1 1 1 0 1  1 27 130 2 0 0 0 1
1 20 80 3 1 0 0 1  1 17 110 1 1 0 0 0  1 25 105 3 0 1 0 0  1 20 109 3 0 0 0 0
1 18 148 3 0 0 0 0  1 18 110 2 1 1 0 0  1 20 121 1 1 1 0 1  1 21 100 3 0 1 0 0
1 26 96 3 0 0 0 0  1 31 102 1 1 1 0 0  1 15 110 1 0 0 0 0  1 23 187 2 1 0 0 0
1 20 122 2 1 0 0 0  1 24 105 2 1 0 0 0  1 15 115 3 0 0 0 1  1 23 120 3 0 0 0 0
1 30 142 1 1 1 0 0  1 22 130 1 1 0 0 0  1 17 120 1 1 0 0 0  1 23 110 1 1 1 0 0
1 17 120 2 0 0 0 0  1 26 154 3 0 1 1 0  1 20 106 3 0 0 0 0  1 26 190 1 1 0 0 0
1 14 101 3 1 1 0 0  1 28 95 1 1 0 0 0  1 14 100 3 0 0 0 0  1 23 94 3 1 0 0 0  1 17 142 2 0 0 1 0
1 21 130 1 1 0 1 0
"""
_table = np.array(_LOW_BIRTH_WEIGHT.split(), dtype=float).reshape(-1, 8)
LOW_BIRTH_WEIGHT = (
    np.column_stack([_table[:, 1:3], _table[:, 3] == 2, _table[:, 3] == 3, _table[:, 4:]]),
    _table[:, 0].astype(int),
)
LOW_BIRTH_WEIGHT_NAMES = ["age", "lwt", "black", "other", "smoke", "ptl", "ht", "ui"]
# Stata's table (manual entry of `logistic`), the intercept last.
LOW_BIRTH_WEIGHT_COEF = [
    -0.02710031, -0.01515082, 1.26264728, 0.86207916, 0.92334482, 0.54183656, 1.83251780,
    0.75851348, 0.46122388,
]  # fmt: skip
LOW_BIRTH_WEIGHT_STD_ERR = [
    0.036449917, 0.006925765, 0.526405169, 0.439146744, 0.400820976, 0.346246857, 0.691623875,
    0.459373871, 1.204574885,
]  # fmt: skip
LOW_BIRTH_WEIGHT_LOG_LIKELIHOOD, LOW_BIRTH_WEIGHT_NULL_DEVIANCE = -100.7239956, 234.6719962
LOW_BIRTH_WEIGHT_AIC = 219.447991133
