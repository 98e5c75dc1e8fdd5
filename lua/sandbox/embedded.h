/* The behaviour's Lua modules as bytecode: a list that embed.c makes, ended by a name of NULL. */
#ifndef PINSTRIPE_SANDBOX_EMBEDDED_H
#define PINSTRIPE_SANDBOX_EMBEDDED_H

#include <stddef.h>

typedef struct embedded_module {
  const char *name;
  const unsigned char *code;
  size_t size;
} embedded_module;

extern const embedded_module embedded_modules[];

#endif
