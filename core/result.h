/* The one thing that a call returns. */
#ifndef PS_RESULT_H
#define PS_RESULT_H

#include "request.h"

/* What a page, or a list inside a result, needs of its call to go on: everything but the client. */
typedef struct ps_origin {
  const ps_api_operation *operation; /* or NULL */
  const char *method, *path;         /* of the request, with the query */
  ps_call_options options;           /* the call's own; the key is never shown, never in a cursor */
  ps_value *headers;                 /* those of the options, or NULL; freed with the result */
  ps_value *params; /* of a v2 POST: a search sends them again with each page; else NULL; freed likewise */
} ps_origin;

struct ps_result {
  ps_arena *arena; /* owns all below; NULL in the static result for "no memory" */
  ps_fault fault;
  int status, attempts;
  const ps_http_header *headers;
  size_t header_count;
  ps_buf body; /* NUL behind it */
  ps_value *data;
  ps_value *own_data;    /* of a stub: what `data` is, freed with the result; else NULL */
  const ps_value *error; /* the error object inside data (of OAuth: data itself), or NULL */
  const char *idempotency_key;
  ps_origin origin;
  ps_client *client; /* held, or NULL */
  void (*release)(ps_client *client);
};

/* Copies the strings into `arena`; headers and params become these. False: no memory. */
bool ps_origin_copy(ps_origin *to, const ps_origin *from, ps_arena *arena, ps_value *headers, ps_value *params);
/* The static result: no memory. */
ps_result *ps_result_no_memory(void);
/* A library error; the static result if there is no memory for it. */
ps_result *ps_result_from_fault(const ps_fault *fault);

/* Frees the result, but for its memory, emptied, which serves again. Not for the static one. */
void ps_result_recycle(ps_result *r, ps_arena **arena, ps_buf *body);

#endif
