/* SPDX-License-Identifier: Apache-2.0 */
/* verify.h - the library's assertions are Relacy's */
#ifndef CORE_VERIFY_H
#define CORE_VERIFY_H

#define weir_assert(condition) RL_ASSERT(condition)
#define weir_verify(condition, text) RL_ASSERT((condition) && (text))
#define weir_bug(text) RL_ASSERT(!(text))

#endif
