/* Loops for several instruction sets.

   On x86-64 Linux, GCC compiles each function marked BCE_FOR_EACH_PROCESSOR for several instruction
   sets, and the loader picks the one that the processor supports. */
#ifndef BCE_PROCESSORS_H
#define BCE_PROCESSORS_H

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__)
#define BCE_FOR_EACH_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define BCE_FOR_EACH_PROCESSOR
#endif

#endif
