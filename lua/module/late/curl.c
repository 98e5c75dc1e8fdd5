/* libcurl, loaded when it is first needed: with the 34 libraries below it, it takes longer to load than everything else that
 * `require "pinstripe"` does together, and many a script only asks for help or runs against a transport of its own.
 *
 * A module that is linked with this file in place of -lcurl finds here the functions that core/http.c calls. Each hands over
 * to libcurl's own. Where libcurl is missing, calls fail with the loader's words: a handle can be made, but not a request. */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#undef curl_easy_setopt
#undef curl_easy_getinfo

static char missing[256]; /* why libcurl could not be loaded */
static char no_handle;    /* stands for a handle then */
static curl_version_info_data no_version = {.version = "missing"};

/* NOLINTBEGIN(bugprone-macro-parentheses): types and lists of arguments take none. */
/* returns, name, parameters, arguments, what it returns without libcurl */
#define FUNCTIONS(F)                                                                                                   \
  F(CURLcode, curl_global_init, (long flags), (flags), CURLE_OK)                                                       \
  F(curl_version_info_data *, curl_version_info, (CURLversion age), (age), &no_version)                                \
  F(CURL *, curl_easy_init, (void), (), (CURL *)&no_handle)                                                            \
  F(const char *, curl_easy_strerror, (CURLcode code), (code), missing)                                                \
  F(CURLcode, curl_easy_pause, (CURL * easy, int what), (easy, what), CURLE_OK)                                        \
  F(CURLM *, curl_multi_init, (void), (), (CURLM *)&no_handle)                                                         \
  F(CURLMcode, curl_multi_cleanup, (CURLM * multi), (multi), CURLM_OK)                                                 \
  F(CURLMcode, curl_multi_add_handle, (CURLM * multi, CURL * easy), (multi, easy), CURLM_INTERNAL_ERROR)               \
  F(CURLMcode, curl_multi_remove_handle, (CURLM * multi, CURL * easy), (multi, easy), CURLM_OK)                        \
  F(CURLMcode, curl_multi_perform, (CURLM * multi, int *running), (multi, running), CURLM_INTERNAL_ERROR)              \
  F(CURLMsg *, curl_multi_info_read, (CURLM * multi, int *queued), (multi, queued), NULL)                              \
  F(CURLMcode, curl_multi_poll, (CURLM * multi, struct curl_waitfd * more, unsigned int count, int ms, int *ready),    \
    (multi, more, count, ms, ready), CURLM_INTERNAL_ERROR)                                                             \
  F(CURLMcode, curl_multi_wakeup, (CURLM * multi), (multi), CURLM_OK)                                                  \
  F(struct curl_slist *, curl_slist_append, (struct curl_slist * list, const char *text), (list, text), NULL)

typedef CURLcode setopt_function(CURL *easy, CURLoption option, ...);
typedef CURLcode getinfo_function(CURL *easy, CURLINFO info, ...);

static struct {
#define POINTER(returns, name, parameters, arguments, otherwise) returns(*name) parameters;
  FUNCTIONS(POINTER)
#undef POINTER
  void (*easy_cleanup)(CURL *easy);
  void (*slist_free_all)(struct curl_slist *list);
  setopt_function *easy_setopt;
  getinfo_function *easy_getinfo;
} real;

static void load(void) {
  void *library = dlopen(PS_LIBCURL, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
  if (!library) {
    snprintf(missing, sizeof missing, "%s", dlerror());
    return;
  }
#define FIND(returns, name, parameters, arguments, otherwise) *(void **)&real.name = dlsym(library, #name);
  FUNCTIONS(FIND)
#undef FIND
  *(void **)&real.easy_cleanup = dlsym(library, "curl_easy_cleanup");
  *(void **)&real.slist_free_all = dlsym(library, "curl_slist_free_all");
  *(void **)&real.easy_setopt = dlsym(library, "curl_easy_setopt");
  *(void **)&real.easy_getinfo = dlsym(library, "curl_easy_getinfo");
}

static void need(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
}

#define FUNCTION(returns, name, parameters, arguments, otherwise)                                                      \
  returns name parameters {                                                                                            \
    need();                                                                                                            \
    return real.name ? real.name arguments : otherwise;                                                                \
  }
FUNCTIONS(FUNCTION)
#undef FUNCTION
/* NOLINTEND(bugprone-macro-parentheses) */

void curl_easy_cleanup(CURL *easy) {
  need();
  if (real.easy_cleanup) real.easy_cleanup(easy);
}

void curl_slist_free_all(struct curl_slist *list) {
  need();
  if (real.slist_free_all) real.slist_free_all(list);
}

/* An option's number tells the type of its value.
 *
 * Two of these types may be the same here; and clang 14 does not see va_start:
 * NOLINTBEGIN(bugprone-branch-clone,clang-analyzer-valist.Uninitialized) */
CURLcode curl_easy_setopt(CURL *easy, CURLoption option, ...) {
  CURLcode code = CURLE_OK;
  va_list rest;
  need();
  if (!real.easy_setopt) return code;
  va_start(rest, option);
  if (option < CURLOPTTYPE_OBJECTPOINT) {
    code = real.easy_setopt(easy, option, va_arg(rest, long));
  } else if (option >= CURLOPTTYPE_OFF_T && option < CURLOPTTYPE_BLOB) {
    code = real.easy_setopt(easy, option, va_arg(rest, curl_off_t));
  } else {
    code = real.easy_setopt(easy, option, va_arg(rest, void *));
  }
  va_end(rest);
  return code;
}

CURLcode curl_easy_getinfo(CURL *easy, CURLINFO info, ...) {
  CURLcode code = CURLE_FAILED_INIT;
  va_list rest;
  need();
  va_start(rest, info);
  if (real.easy_getinfo) code = real.easy_getinfo(easy, info, va_arg(rest, void *));
  va_end(rest);
  return code;
}
/* NOLINTEND(bugprone-branch-clone,clang-analyzer-valist.Uninitialized) */
