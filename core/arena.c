/* Blocks in a chain, the newest cut from front to back; the arena itself lies in the oldest.
 *
 *   arena.newest ──▶ [older|......used|next    end] ──older──▶ [older|arena|....]
 *
 * Every block is twice the last one up to a megabyte, or as large as what is asked for, so that the count of mallocs
 * grows with the logarithm of the memory and no request is too large. Text is packed; all else starts at an address
 * aligned for any type. */
#include "arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = _Alignof(max_align_t), LEAST = 256, MOST = 1 << 20 };

typedef struct block {
  _Alignas(max_align_t) struct block *older;
} block;

struct ps_arena {
  _Alignas(max_align_t) char *next;
  char *end;
  block *newest;
  size_t next_size;
};

static block *block_new(size_t size) {
  return size <= PTRDIFF_MAX - sizeof(block) ? malloc(sizeof(block) + size) : NULL;
}

ps_arena *ps_arena_new(size_t hint) {
  size_t size = hint < LEAST ? LEAST : hint;
  block *b = size <= PTRDIFF_MAX - sizeof(ps_arena) ? block_new(sizeof(ps_arena) + size) : NULL;
  if (!b) return NULL;
  b->older = NULL;
  ps_arena *a = (ps_arena *)(b + 1);
  *a = (ps_arena){.next = (char *)(a + 1), .end = (char *)(a + 1) + size, .newest = b};
  a->next_size = size < MOST / 2 ? 2 * size : MOST;
  return a;
}

static void free_blocks(block *b) {
  while (b) {
    block *older = b->older;
    free(b);
    b = older;
  }
}

void ps_arena_free(ps_arena *a) {
  if (a) free_blocks(a->newest);
}

ps_arena *ps_arena_reset(ps_arena *a) {
  ps_arena kept = *a, *moved = (ps_arena *)(kept.newest + 1);
  free_blocks(kept.newest->older);
  kept.newest->older = NULL;
  kept.next = (char *)(moved + 1);
  *moved = kept;
  return moved;
}

size_t ps_arena_room(const ps_arena *a) { return (size_t)(a->end - a->next); }

bool ps_arena_reserve(ps_arena *a, size_t size) {
  if (size <= (size_t)(a->end - a->next)) return true;
  if (size < a->next_size) size = a->next_size;
  block *b = block_new(size);
  if (!b) return false;
  b->older = a->newest;
  a->newest = b;
  a->next = (char *)(b + 1);
  a->end = a->next + size;
  a->next_size = size < MOST / 2 ? 2 * size : MOST;
  return true;
}

void *ps_arena_alloc(ps_arena *a, size_t size) {
  if (size == 0) size = 1;
  size_t padding = -(uintptr_t)a->next % ALIGNMENT;
  if (size > (size_t)(a->end - a->next) || padding > (size_t)(a->end - a->next) - size) {
    if (!ps_arena_reserve(a, size < PTRDIFF_MAX ? size + ALIGNMENT : size)) return NULL;
    padding = -(uintptr_t)a->next % ALIGNMENT;
  }
  char *p = a->next + padding;
  a->next = p + size;
  return p;
}

char *ps_arena_strn(ps_arena *a, const char *s, size_t length) {
  if (length >= PTRDIFF_MAX || !ps_arena_reserve(a, length + 1)) return NULL;
  char *p = a->next;
  if (length) memcpy(p, s, length);
  p[length] = '\0';
  a->next = p + length + 1;
  return p;
}

char *ps_arena_str(ps_arena *a, const char *s) { return ps_arena_strn(a, s, strlen(s)); }

char *ps_arena_join(ps_arena *a, const char *first, ...) {
  size_t length = 0;
  va_list strings;
  va_start(strings, first);
  for (const char *s = first; s; s = va_arg(strings, const char *)) length += strlen(s);
  va_end(strings);
  if (!ps_arena_reserve(a, length + 1)) return NULL;
  char *joined = a->next, *end = joined;
  va_start(strings, first);
  for (const char *s = first; s; s = va_arg(strings, const char *)) end = stpcpy(end, s);
  va_end(strings);
  a->next = end + 1;
  *end = '\0';
  return joined;
}
