/* Faults, kinds and their names. errors.def is the one list: every table below expands from it.
 *
 * A fault's message is the last thing that leaves the library, so secrets are starred here, where it is written, and not
 * where somebody might forget to. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"

typedef struct {
  const char *name, *class_name;
} kind_row;

static const kind_row kinds[] = {
  {"none", ""},
#define PS_ERROR(constant, name, class, meaning) {name, class},
#include "errors.def"
#undef PS_ERROR
};

static const size_t kind_count = sizeof kinds / sizeof *kinds;

const char *ps_error_kind_name(ps_error kind) { return (size_t)kind < kind_count ? kinds[kind].name : ""; }

const char *ps_error_class_name(ps_error kind) { return (size_t)kind < kind_count ? kinds[kind].class_name : ""; }

const char *ps_outcome_name(ps_outcome outcome) {
  static const char *const names[] = {"ok", "not_sent", "rejected", "unknown"};
  return (size_t)outcome < sizeof names / sizeof *names ? names[outcome] : "";
}

const char *ps_version(void) { return PS_VERSION; }

static bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static const char token_key[] = "_token\""; /* in JSON that could not be read: a meter session's token has no prefix */
static const char link_path[] = "/links/";  /* of a file link: whoever has the rest can read the file */

/* The bytes of a secret's prefix at `s`, 0 if none begins there. Inside a word only those count that can be nothing else:
 * "task_list" is no secret, what follows an escape in "\nsk_live_..." is. "sk_test_" itself tells nobody anything. */
static size_t secret_prefix(const char *s, bool inside) {
  static const char *const prefixes[] = {"sk_", "rk_", "pk_", "ek_", "rt_", "pst_", "whsec_"};
  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
    if (*s != *prefixes[i]) continue;
    size_t length = strlen(prefixes[i]);
    if (strncmp(s, prefixes[i], length) != 0) continue;
    if (strncmp(s + length, "test_", 5) == 0 || strncmp(s + length, "live_", 5) == 0) return length + 5;
    if (!inside || length > 4) return length;
  }
  if (strncmp(s, link_path, sizeof link_path - 1) == 0) return sizeof link_path - 1;
  if (strncmp(s, token_key, sizeof token_key - 1) == 0)
    return sizeof token_key - 1 + strspn(strchr(s, '"') + 1, " :\"");
  return *s == '_' && strncmp(s, "_secret_", 8) == 0 ? 8 : 0; /* of a client secret, pi_1_secret_... */
}

/* The bytes of the secret at `s`: a link's are all up to the end of the address, with its percent signs and dots. */
static size_t secret_span(const char *s, bool link) {
  size_t length = 0;
  if (link) return strcspn(s, " \"'?#&<>,;()");
  while (is_word(s[length]) || s[length] == '-' || s[length] == '*') length++;
  return length;
}

/* Stars the secret behind the prefix of `prefix` bytes at `s`, but not what a server has starred; returns what follows. */
static char *star_secret(char *s, size_t prefix) {
  char *begin = s + prefix, *end = begin + secret_span(begin, *s == '/');
  size_t shown = 0;
  for (const char *p = begin; p < end; p++) shown += *p != '*';
  if (shown <= 8 && memchr(begin, '*', (size_t)(end - begin))) return end;
  ptrdiff_t keep = end - begin >= 12 ? 4 : 0;
  for (char *p = begin; p < end - keep; p++) *p = '*';
  return end;
}

/* The bytes of the name and password in an address, such as a proxy's, behind its "://"; 0: there are none. */
static size_t user_span(const char *s) {
  if (strncmp(s, "://", 3) != 0) return 0;
  size_t end = 3 + strcspn(s + 3, "/? \"'<>");
  while (end > 3 && s[end] != '@') end--;
  return end - 3;
}

void ps_redact(char *text) {
  char before = ' ';
  for (char *p = text; *p;) {
    size_t prefix = secret_prefix(p, is_word(before)), user = user_span(p);
    if (user) {
      memset(p + 3, '*', user);
      p += 3 + user;
      before = '*';
    } else if (prefix) {
      p = star_secret(p, prefix);
      before = p[-1];
    } else {
      before = *p++;
    }
  }
}

void ps_redact_known(char *text, const char *secret) {
  size_t length = secret ? strlen(secret) : 0;
  for (char *p = text; length >= 8 && *p; p++) {
    size_t n = 0;
    while (n < length && p[n] == secret[n]) n++;
    if (n == length) memset(p, '*', n < 12 ? n : n - 4);
    else if (n >= 8 && p[n] == '\0') memset(p, '*', n);
  }
}

/* One line of UTF-8: control characters become spaces, other bytes "?"; a character cut in half at the end goes. */
static void make_line(char *text, bool cut) {
  size_t length = strlen(text), at;
  for (size_t i = 0; i < length; i++) {
    if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) text[i] = ' ';
  }
  while ((at = ps_utf8_span(text, length)) < length) {
    bool half = cut && length - at < 4 && (unsigned char)text[at] >= 0xc0;
    text[at] = half ? '\0' : '?';
    if (half) return;
  }
}

void ps_line_tidy(char *text, bool cut) {
  make_line(text, cut);
  ps_redact(text);
}

void ps_fault_set(ps_fault *f, ps_error kind, const char *format, ...) {
  if (f->kind != PS_ERROR_NONE) return;
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(f->message, sizeof f->message, format, arguments);
  va_end(arguments);
  ps_line_tidy(f->message, length < 0 || (size_t)length >= sizeof f->message);
  f->kind = kind;
  f->outcome = PS_OUTCOME_NOT_SENT;
}

void ps_fault_memory(ps_fault *f) { ps_fault_set(f, PS_ERROR_MEMORY, "no memory"); }

const char *ps_fault_copy(ps_fault *f, ps_arena *a, const char *s) {
  const char *copy = s ? ps_arena_str(a, s) : NULL;
  if (s && !copy) ps_fault_memory(f);
  return copy;
}

enum { LONGEST_WORD = 96 };

/* Levenshtein's distance, with one row of memory. */
static size_t distance(const char *a, const char *b) {
  size_t row[LONGEST_WORD + 1], width = strlen(b);
  if (width > LONGEST_WORD) return SIZE_MAX;
  for (size_t j = 0; j <= width; j++) row[j] = j;
  for (size_t i = 0; a[i]; i++) {
    size_t corner = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < width; j++) {
      size_t above = row[j + 1];
      size_t moved = (above < row[j] ? above : row[j]) + 1, changed = corner + (a[i] != b[j]);
      row[j + 1] = moved < changed ? moved : changed;
      corner = above;
    }
  }
  return row[width];
}

const char *ps_nearest(const char *name, ps_words next, void *context) {
  size_t length = strlen(name), best = length / 3 + 2;
  const char *found = NULL;
  const char *word;
  if (length > LONGEST_WORD) return NULL;
  for (size_t i = 0; (word = next(context, i)); i++) {
    size_t other = strlen(word), apart = other > length ? other - length : length - other;
    if (apart >= best) continue;
    size_t d = distance(name, word);
    if (d < best) {
      best = d;
      found = word;
    }
  }
  return found;
}

static ps_error by_type(const char *type) {
  static const char *const aliases[][2] = {{"idempotency_error", "idempotency"}, {"invalid_fields", "invalid_request"}};
  for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
    if (strcmp(type, aliases[i][0]) == 0) type = aliases[i][1];
  }
  for (size_t i = 1; i < kind_count && i < PS_ERROR_CONNECTION; i++) {
    if (strcmp(type, kinds[i].name) == 0) return (ps_error)i;
  }
  return PS_ERROR_NONE;
}

static ps_error by_status(int status, const char *type, const char *code) {
  switch (status) {
    case 400:
    case 404:
      if (strcmp(type, "idempotency_error") == 0) return PS_ERROR_IDEMPOTENCY;
      if (status == 400 && strcmp(code, "rate_limit") == 0) return PS_ERROR_RATE_LIMIT;
      return PS_ERROR_INVALID_REQUEST;
    case 401: return PS_ERROR_AUTHENTICATION;
    case 402: return PS_ERROR_CARD;
    case 403: return PS_ERROR_PERMISSION;
    case 409: return PS_ERROR_CONFLICT;
    case 429: return PS_ERROR_RATE_LIMIT;
    default: return PS_ERROR_API;
  }
}

ps_error ps_error_classify(int status, const char *type, const char *code, bool v2, bool oauth) {
  if (oauth) return PS_ERROR_OAUTH;
  ps_error kind = v2 ? by_type(type) : PS_ERROR_NONE;
  return kind != PS_ERROR_NONE ? kind : by_status(status, type, code);
}
