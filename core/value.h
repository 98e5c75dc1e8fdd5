/* The value tree. Values of a parsed reply lie in the result's arena and are only read; values being built each stand
 * behind a pointer to their tree, which owns the arena and the first fault ("poison").
 *
 *   children form a ring: a container points to its last child, the last one's `next` is the first
 *
 *     map ──last──▶ c ──next──▶ a ──next──▶ b ──next──▶ c
 *
 * so that appending and walking need one pointer each. `is_last` ends a walk. */
#ifndef PS_VALUE_H
#define PS_VALUE_H

#include "arena.h"
#include "buf.h"
#include "error.h"

struct ps_value {
  struct ps_value *next;
  const char *key; /* NUL-terminated; NULL outside a map */
  union {
    bool boolean;
    int64_t integer;
    const char *text; /* of a string or number; NUL-terminated */
    struct ps_value *last;
  } as;
  uint32_t key_length;
  uint32_t length; /* bytes of text, or the count of children */
  uint8_t type;    /* ps_value_type */
  bool is_last;
  bool built; /* stands in a ps_slot */
};

/* Whose `type` is PS_NULL: what absent values read as. */
extern const ps_value ps_null_value;

/* Appends `child` to `parent`, which is a list or map. Keys are the caller's. */
void ps_value_append(ps_value *parent, ps_value *child);
bool ps_value_is_poisoned(const ps_value *v);
/* The fault of a built tree; a kind of PS_ERROR_NONE if it has none. */
const ps_fault *ps_value_fault(const ps_value *v);
bool ps_value_is(const ps_value *v, const char *text); /* a string equal to `text` */
/* Whether two values are equal: maps in any order, numbers by their text. */
bool ps_value_equal(const ps_value *a, const ps_value *b);
/* Whether `text` is a number in JSON's syntax, and whether it is one that int64 holds: then `*i` is it. */
bool ps_number_valid(const char *text, size_t length);
bool ps_number_int(const char *text, size_t length, int64_t *i);
/* The shortest text that reads back as `d`, without exponent and without the locale; an integral one under 2^53 without a fraction. */
void ps_number_format(ps_buf *out, double d);

#endif
