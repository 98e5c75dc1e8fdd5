/* Values to form encoding, and multipart framing as a body that is read piece by piece. WIRE: brackets of structure are
 * literal, those inside a key are escaped; empty lists and maps vanish; null and "" are "name=". */
#ifndef PS_FORM_H
#define PS_FORM_H

#include "value.h"

/* Appends "a=1&b[c]=2" for a map; nothing for null. */
void ps_form_encode(ps_buf *out, const ps_value *params);
/* Percent-encodes all but unreserved characters (RFC 3986, 2.3). */
void ps_form_escape(ps_buf *out, const char *s, size_t length);

/* Bytes from the system's random source; false: it failed. */
bool ps_random(void *bytes, size_t length);

typedef struct ps_multipart ps_multipart;

/* Where a file's bytes may come from, beside its map. */
typedef struct ps_sources {
  const ps_body *file; /* the caller's, or NULL */
  ps_body *feed;       /* for {feed: true}, which says its length and whether it can be rewound; or NULL */
} ps_sources;

/* A body from `params`: scalars become fields, and the map under a key for which `is_file` is true becomes a file, from
 * {path}, {content, filename, type} or `sources`. All but these is copied. NULL with `fault` set: no such file, no memory. */
ps_multipart *ps_multipart_new(const ps_value *params, bool (*is_file)(const void *context, const char *key),
                               const void *context, const ps_sources *sources, ps_fault *fault);
const ps_body *ps_multipart_body(const ps_multipart *m);
int64_t ps_multipart_position(const ps_multipart *m);    /* bytes read since the beginning */
const char *ps_multipart_failure(const ps_multipart *m); /* why it could not be read or rewound, or ""; `m` NULL: "" */
const char *ps_multipart_content_type(const ps_multipart *m); /* with its boundary */
void ps_multipart_free(ps_multipart *m);

#endif
