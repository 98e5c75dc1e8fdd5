/* Where the body of a download goes in place of memory: into a file, or through a window that its reader empties. */
#ifndef PS_DOWNLOAD_H
#define PS_DOWNLOAD_H

#include "error.h"

typedef struct ps_download ps_download;

/* What the headers of an answer say; NULL: absent. */
typedef struct ps_download_facts {
  int status;
  const char *etag, *content_range, *content_length, *accept_ranges;
} ps_download_facts;

/* `path` NULL: through the window. NULL with `fault` set: the file cannot be made, no memory. */
ps_download *ps_download_new(const char *path, ps_fault *fault);
/* Removes what has not been finished. */
void ps_download_free(ps_download *d); /* NULL: nothing */
/* An attempt begins. What it must ask for, "bytes=100-", and if what; NULL: all. Until the next call of this. */
const char *ps_download_range(ps_download *d, const char **if_range);
/* Whether another attempt can go on, or begin anew, without giving a byte twice. */
bool ps_download_resumable(const ps_download *d);
bool ps_download_begun(const ps_download *d); /* the attempt's answer */
bool ps_download_begin(ps_download *d, const ps_download_facts *facts, ps_fault *fault);
bool ps_download_write(ps_download *d, const char *bytes, size_t length, ps_fault *fault);
/* The whole has arrived: the file gets its name. */
bool ps_download_finish(ps_download *d, ps_fault *fault);
/* What lies in the window, which is empty then; until the next write. */
const char *ps_download_take(ps_download *d, size_t *length);
bool ps_download_full(const ps_download *d);
void ps_download_progress(const ps_download *d, int64_t *done, int64_t *total);

#endif
