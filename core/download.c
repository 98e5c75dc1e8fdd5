/* See download.h. A file is written under a temporary name beside its own and renamed at the end, so that nobody ever sees a
 * part under that name. What has arrived stays over attempts: after a cut the next one asks for the rest (RFC 9110, 14),
 * if the answer so far said that it can be had: ranges of bytes, a strong ETag. If the server sends all of it
 * again, a file is begun anew; what went through the window cannot be taken back, and ends in an error. A part that is of
 * another file, or leaves the whole short, is an error: no file gets its name with less than all of its bytes. */
#include "download.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "form.h"

enum { WINDOW = 1 << 20 };

struct ps_download {
  char *path, *temporary; /* NULL: through the window */
  int file;
  bool begun, lent; /* lent: what lies in the window has been taken */
  ps_buf window;
  int64_t received, total;   /* total -1: unknown */
  char etag[160], range[32]; /* etag "": cannot be resumed */
};

static bool refuse(const ps_download *d, const char *what, ps_fault *fault) {
  ps_fault_set(fault, PS_ERROR_USAGE, "save_to: cannot %s %s: %s", what, d->path, strerror(errno));
  return false;
}

/* "PATH.0123abcd.part" */
static char *temporary_name(const char *path) {
  unsigned char random[4];
  ps_buf name = PS_BUF_INIT;
  if (!ps_random(random, sizeof random)) return NULL;
  ps_buf_format(&name, "%s.%02x%02x%02x%02x.part", path, random[0], random[1], random[2], random[3]);
  return ps_buf_take(&name, NULL);
}

/* A rename puts a file in the place of a device or a pipe, too. */
static bool check_place(const char *path, ps_fault *fault) {
  struct stat info;
  if (!*path) {
    ps_fault_set(fault, PS_ERROR_USAGE, "save_to must be the path of a file, not \"\"");
  } else if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) {
    ps_fault_set(fault, PS_ERROR_USAGE, "save_to: %s is %s, not a regular file", path,
                 S_ISDIR(info.st_mode) ? "a directory" : "a device, pipe or socket");
  }
  return fault->kind == PS_ERROR_NONE;
}

static bool open_file(ps_download *d, const char *path, ps_fault *fault) {
  if (!check_place(path, fault)) return false;
  d->path = realpath(path, NULL); /* what a link stands for is replaced, not the link */
  if (!d->path) d->path = strdup(path);
  d->temporary = d->path ? temporary_name(path) : NULL;
  if (!d->temporary) {
    ps_fault_memory(fault);
    return false;
  }
  d->file = open(d->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  return d->file >= 0 || refuse(d, "write", fault);
}

ps_download *ps_download_new(const char *path, ps_fault *fault) {
  ps_download *d = calloc(1, sizeof *d);
  if (!d) {
    ps_fault_memory(fault);
    return NULL;
  }
  *d = (ps_download){.file = -1, .window = PS_BUF_INIT, .total = -1};
  if (!path || open_file(d, path, fault)) return d;
  ps_download_free(d);
  return NULL;
}

void ps_download_free(ps_download *d) {
  if (!d) return;
  if (d->file >= 0) {
    close(d->file);
    unlink(d->temporary);
  }
  ps_buf_dispose(&d->window);
  free(d->path);
  free(d->temporary);
  free(d);
}

const char *ps_download_range(ps_download *d, const char **if_range) {
  d->begun = false;
  *if_range = d->etag;
  if (d->received == 0 || !*d->etag) return NULL;
  snprintf(d->range, sizeof d->range, "bytes=%lld-", (long long)d->received);
  return d->range;
}

bool ps_download_resumable(const ps_download *d) { return d->path || d->received == 0 || *d->etag; }

bool ps_download_begun(const ps_download *d) { return d->begun; }

/* The server sends all of it, or again. */
static bool begin_anew(ps_download *d, ps_fault *fault) {
  if (d->received > 0 && !d->path) {
    ps_fault_set(fault, PS_ERROR_PROTOCOL, "the download was cut, and the server cannot send the rest alone");
    return false;
  }
  if (d->received > 0 && (ftruncate(d->file, 0) != 0 || lseek(d->file, 0, SEEK_SET) != 0)) {
    return refuse(d, "write", fault);
  }
  d->received = 0;
  return true;
}

/* Whether an ETag promises the same bytes, and can be sent back as it is. */
static bool is_strong(const char *etag, size_t room) {
  if (!etag || *etag != '"' || strlen(etag) >= room) return false;
  while (*etag > ' ' && *etag < 0x7f) etag++;
  return *etag == '\0';
}

/* The server sends a part: it must be the rest of what has arrived. Its Content-Range may be the first to tell the size. */
static bool go_on(ps_download *d, const ps_download_facts *f, ps_fault *fault) {
  long long first = -1, last = -1, whole = -1; /* "bytes 100-299/300", or "*" for the whole */
  if (f->content_range) sscanf(f->content_range, "bytes %lld-%lld/%lld", &first, &last, &whole);
  bool asked = d->received > 0 && *d->etag, told = d->total >= 0;
  if (!asked || first != d->received) {
    ps_fault_set(fault, PS_ERROR_PROTOCOL, "the server sent another range than the one asked for");
  } else if ((f->etag && strcmp(f->etag, d->etag) != 0) || (whole >= 0 && told && whole != d->total)) {
    ps_fault_set(fault, PS_ERROR_PROTOCOL, "the download was cut, and the rest that the server sent is another file's");
  } else if (last < 0 || last != (told ? d->total : whole) - 1) {
    ps_fault_set(fault, PS_ERROR_PROTOCOL,
                 "the download was cut, and the server does not say that it sends all the rest");
  }
  if (!told) d->total = whole;
  return fault->kind == PS_ERROR_NONE;
}

bool ps_download_begin(ps_download *d, const ps_download_facts *f, ps_fault *fault) {
  d->begun = true;
  if (f->status == 206) return go_on(d, f, fault);
  if (!begin_anew(d, fault)) return false;
  bool ranges = f->accept_ranges && strcmp(f->accept_ranges, "bytes") == 0;
  d->etag[0] = '\0';
  if (ranges && is_strong(f->etag, sizeof d->etag)) memcpy(d->etag, f->etag, strlen(f->etag) + 1);
  if (!f->content_length || !ps_number_int(f->content_length, strlen(f->content_length), &d->total)) d->total = -1;
  return true;
}

static bool write_file(const ps_download *d, const char *bytes, size_t length, ps_fault *fault) {
  while (length > 0) {
    ssize_t n = write(d->file, bytes, length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return refuse(d, "write", fault);
    bytes += n;
    length -= (size_t)n;
  }
  return true;
}

bool ps_download_write(ps_download *d, const char *bytes, size_t length, ps_fault *fault) {
  if (d->path && !write_file(d, bytes, length, fault)) return false;
  if (!d->path) {
    if (d->lent) d->window.length = 0;
    d->lent = false;
    ps_buf_add(&d->window, bytes, length);
    if (d->window.failed) ps_fault_memory(fault);
  }
  d->received += (int64_t)length;
  return !d->window.failed;
}

bool ps_download_finish(ps_download *d, ps_fault *fault) {
  if (d->total >= 0 && d->received != d->total) {
    ps_fault_set(fault, PS_ERROR_PROTOCOL, "the download ended after %lld of %lld bytes", (long long)d->received,
                 (long long)d->total);
    return false;
  }
  if (d->file < 0) return true;
  bool closed = close(d->file) == 0;
  d->file = -1;
  if (closed && rename(d->temporary, d->path) == 0) return true;
  refuse(d, "write", fault);
  unlink(d->temporary);
  return false;
}

const char *ps_download_take(ps_download *d, size_t *length) {
  *length = d->lent ? 0 : d->window.length;
  d->lent = true;
  return *length ? d->window.data : "";
}

bool ps_download_full(const ps_download *d) { return !d->lent && d->window.length >= WINDOW; }

void ps_download_progress(const ps_download *d, int64_t *done, int64_t *total) {
  *done = d->received;
  *total = d->total;
}
