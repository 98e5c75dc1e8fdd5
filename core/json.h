/* JSON text to values and back. The only file that knows yajl. */
#ifndef PS_JSON_H
#define PS_JSON_H

#include "value.h"

#define PS_JSON_DEPTH 128

/* The value in `arena`, or NULL with `fault` set: PS_ERROR_PROTOCOL (what and where: "line 3, byte 17: ...") or
 * PS_ERROR_MEMORY. `text` is changed in place (lone surrogate escapes) but keeps its length. */
ps_value *ps_json_parse(ps_arena *arena, char *text, size_t length, ps_fault *fault);
void ps_json_write(ps_buf *out, const ps_value *v);

#endif
