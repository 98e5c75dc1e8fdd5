/* The memory of a sandbox's Lua state, which one thread uses: small blocks come from chunks, by size, and go back to a list
 * of their size; large ones are malloc's. Lua tells the size of what it gives back, so that a block needs no header. What
 * was taken for small blocks stays until the state is closed.
 *
 * A block for an object of some 30 fields is still small. Chunks are so large that malloc maps each by itself: the heap of
 * a thread other than the first grows by a page at a time, with a call of the system for each. */
#include "server.h"

#include <stdlib.h>
#include <string.h>

enum { GRAIN = 16, CLASSES = 64, LARGEST = GRAIN * CLASSES, CHUNK = 256 * 1024 };

typedef struct block {
  struct block *next;
} block;

struct pool {
  block *free[CLASSES]; /* by size: GRAIN, 2 GRAIN, ... */
  block *chunks;
  char *at, *end; /* what is left of the newest chunk */
};

static size_t class_of(size_t size) { return (size - 1) / GRAIN; }

pool *pool_new(void) { return calloc(1, sizeof(pool)); }

void pool_free(pool *p) {
  for (block *c = p ? p->chunks : NULL, *next; c; c = next) {
    next = c->next;
    free(c);
  }
  free(p);
}

static void give(pool *p, void *memory, size_t size) {
  block *b = memory;
  if (!size) return;
  b->next = p->free[class_of(size)];
  p->free[class_of(size)] = b;
}

/* A chunk's rest, too small for what is asked, serves smaller blocks. */
static bool add_chunk(pool *p) {
  block *chunk = malloc(CHUNK);
  if (!chunk) return false;
  if (p->end > p->at) give(p, p->at, (size_t)(p->end - p->at));
  chunk->next = p->chunks;
  p->chunks = chunk;
  p->at = (char *)chunk + GRAIN;
  p->end = (char *)chunk + CHUNK;
  return true;
}

static void *take(pool *p, size_t size) {
  size_t class = class_of(size), room = (class + 1) * GRAIN;
  block *b = p->free[class];
  if (b) {
    p->free[class] = b->next;
    __builtin_prefetch(b->next, 1); /* the next to be asked for: nothing touched it of late */
    return b;
  }
  if ((size_t)(p->end - p->at) < room && !add_chunk(p)) return NULL;
  b = (block *)(void *)p->at;
  p->at += room;
  return b;
}

static void release(pool *p, void *memory, size_t size) {
  if (size > LARGEST) free(memory);
  else give(p, memory, size);
}

static void *obtain(pool *p, size_t size) { return size > LARGEST ? malloc(size) : take(p, size); }

static void *resize(pool *p, void *memory, size_t old, size_t size) {
  if (old > LARGEST && size > LARGEST) return realloc(memory, size);
  if (old > 0 && old <= LARGEST && size <= LARGEST && class_of(old) == class_of(size)) return memory;
  void *fresh = obtain(p, size);
  if (!fresh) return NULL;
  memcpy(fresh, memory, old < size ? old : size);
  release(p, memory, old);
  return fresh;
}

/* As Lua wants it: a size of 0 frees; `old` is no size when there is no memory yet. */
void *pool_allocate(void *context, void *memory, size_t old, size_t size) {
  pool *p = context;
  if (memory && size > 0) return resize(p, memory, old, size);
  if (size > 0) return obtain(p, size);
  if (memory) release(p, memory, old);
  return NULL;
}
