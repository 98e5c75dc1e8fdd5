/* What pinstripe is measured against in C: libcurl on a kept connection, and yajl with callbacks that do nothing.
 *
 *   bare get|lex KEY URL...     answers each line on stdin, a count, with the bytes that so many rounds of the URLs had */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

typedef struct {
  yajl_handle yajl; /* NULL: the body is only counted */
  size_t bytes;
} reader;

static int on_nothing(void *context) {
  (void)context;
  return 1;
}

static int on_boolean(void *context, int boolean) {
  (void)context, (void)boolean;
  return 1;
}

static int on_number(void *context, const char *s, size_t length) {
  (void)context, (void)s, (void)length;
  return 1;
}

static int on_string(void *context, const unsigned char *s, size_t length) {
  (void)context, (void)s, (void)length;
  return 1;
}

static const yajl_callbacks callbacks = {
  on_nothing, on_boolean, NULL, NULL, on_number, on_string, on_nothing, on_string, on_nothing, on_nothing, on_nothing,
};

static size_t on_body(char *data, size_t size, size_t count, void *context) {
  reader *r = context;
  size_t length = size * count;
  r->bytes += length;
  if (!r->yajl) return length;
  return yajl_parse(r->yajl, (const unsigned char *)data, length) == yajl_status_ok ? length : 0;
}

static void fetch(CURL *curl, reader *r, const char *url, int lex) {
  r->yajl = lex ? yajl_alloc(&callbacks, NULL, NULL) : NULL;
  curl_easy_setopt(curl, CURLOPT_URL, url);
  CURLcode code = curl_easy_perform(curl);
  if (code == CURLE_OK && r->yajl && yajl_complete_parse(r->yajl) != yajl_status_ok) code = CURLE_WRITE_ERROR;
  if (r->yajl) yajl_free(r->yajl);
  if (code == CURLE_OK) return;
  fprintf(stderr, "%s: %s\n", url, curl_easy_strerror(code));
  exit(1);
}

int main(int argc, char **argv) {
  char line[64];
  if (argc < 4) return 2;
  reader r = {NULL, 0};
  int lex = strcmp(argv[1], "lex") == 0;
  CURL *curl = curl_easy_init();
  snprintf(line, sizeof line, "Authorization: Bearer %s", argv[2]);
  struct curl_slist *headers = curl_slist_append(NULL, line);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &r);
  while (fgets(line, sizeof line, stdin)) {
    r.bytes = 0;
    for (int i = atoi(line); i > 0; i--) {
      for (int url = 3; url < argc; url++) fetch(curl, &r, argv[url], lex);
    }
    printf("%zu\n", r.bytes);
    fflush(stdout);
  }
  curl_easy_cleanup(curl);
  curl_slist_free_all(headers);
  return 0;
}
