/* A bump allocator: one per result or tree, freed at once. Pointers stay put; memory is aligned for any type. */
#ifndef PS_ARENA_H
#define PS_ARENA_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ps_arena ps_arena;

/* `hint`: bytes expected, so that the usual case takes one block. NULL: no memory. */
ps_arena *ps_arena_new(size_t hint);
void ps_arena_free(ps_arena *a); /* NULL: nothing */
/* Empties the arena, to be filled anew: of its memory the newest block stays. Returns where the arena lies from now on. */
ps_arena *ps_arena_reset(ps_arena *a);
size_t ps_arena_room(const ps_arena *a); /* bytes left in the newest block */
/* NULL: no memory. A size of 0 gives a unique pointer. */
void *ps_arena_alloc(ps_arena *a, size_t size);
/* Makes one block have room for about `size` bytes more; false: no memory, and nothing has changed. */
bool ps_arena_reserve(ps_arena *a, size_t size);
/* A copy of `length` bytes with a NUL behind them; NULL: no memory. */
char *ps_arena_strn(ps_arena *a, const char *s, size_t length);
char *ps_arena_str(ps_arena *a, const char *s);
/* The strings one behind the other, ended by NULL. */
char *ps_arena_join(ps_arena *a, const char *first, ...) __attribute__((sentinel));

#endif
