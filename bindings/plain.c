/* See plain.h. A misuse of options becomes poison of the params: so it travels as every other error does. */
#include "plain.h"

#include <string.h>

enum { MOST_IDS = 8, MOST_SECRETS = 16 };

char *ps_plain_client_misuse(const ps_value *options) {
  ps_client_options read = PS_CLIENT_OPTIONS_INIT;
  return ps_client_options_read(&read, options);
}

/* Stands for a transport in the language, whose driver never asks the core to send. */
static void refuse_send(void *context, const ps_http_request *request, ps_http_response *response) {
  (void)context, (void)request;
  ps_http_response_fail(response, PS_ERROR_CONNECTION, PS_OUTCOME_NOT_SENT,
                        "this client sends through its own transport");
}

ps_client *ps_plain_client(const char *api_key, const ps_value *options, const char *lang, bool transport) {
  static const ps_transport own = {.send = refuse_send};
  ps_client_options read = PS_CLIENT_OPTIONS_INIT;
  ps_free(ps_client_options_read(&read, options));
  read.lang = lang;
  read.transport = transport ? &own : NULL;
  return ps_client_new(api_key, &read);
}

/* The options, or the poison that takes the place of the params: to be freed; NULL: all is well. */
static ps_value *read_options(ps_call_options *options, const ps_value *map) {
  *options = PS_CALL_OPTIONS_INIT;
  char *misuse = ps_call_options_read(options, map);
  if (!misuse) return NULL;
  ps_value *poison = ps_value_new();
  ps_value_fail(poison, misuse);
  ps_free(misuse);
  return poison;
}

/* The strings of a list, or a string alone, ended by NULL. */
static void list_texts(const ps_value *list, const char **texts, size_t most) {
  size_t count = 0;
  if (ps_type(list, NULL) == PS_STRING) texts[count++] = ps_str(list, NULL);
  for (const ps_value *v = ps_first(list); v && count < most; v = ps_next(v)) texts[count++] = ps_str(v, NULL);
  texts[count] = NULL;
}

ps_exchange *ps_plain_begin(ps_client *client, const char *operation, const char *const *ids, const ps_value *params,
                            const ps_value *options) {
  ps_call_options read;
  ps_value *poison = options ? read_options(&read, options) : NULL;
  ps_exchange *x = ps_exchange_new(client, operation, ids, poison ? poison : params, options ? &read : NULL);
  ps_value_free(poison);
  return x;
}

ps_exchange *ps_plain_call(ps_client *client, const char *operation, const ps_value *ids, const ps_value *params,
                           const ps_value *options) {
  const char *listed[MOST_IDS + 1];
  list_texts(ids, listed, MOST_IDS);
  return ps_plain_begin(client, operation, listed, params, options);
}

ps_exchange *ps_plain_request(ps_client *client, const char *method, const char *path, const ps_value *params,
                              const ps_value *options) {
  ps_call_options read;
  ps_value *poison = read_options(&read, options);
  ps_exchange *x = ps_exchange_new_request(client, method, path, poison ? poison : params, &read);
  ps_value_free(poison);
  return x;
}

/* Without params to poison: a misuse of options is a request that nobody could send. */
ps_exchange *ps_plain_download(ps_client *client, const char *url, const ps_value *options) {
  ps_call_options read;
  ps_value *poison = read_options(&read, options);
  ps_exchange *x =
    poison ? ps_exchange_new_request(client, "GET", url, poison, NULL) : ps_exchange_new_download(client, url, &read);
  ps_value_free(poison);
  return x;
}

bool ps_plain_run(ps_exchange *x, int64_t max_ms) { return ps_exchange_run(x, max_ms) == PS_DONE; }

void ps_plain_fail(ps_exchange *x, const char *reason, bool timeout, bool not_sent, bool final) {
  if (final) ps_http_response_final(ps_exchange_response(x));
  ps_http_response_fail(ps_exchange_response(x), timeout ? PS_ERROR_TIMEOUT : PS_ERROR_CONNECTION,
                        not_sent ? PS_OUTCOME_NOT_SENT : PS_OUTCOME_UNKNOWN, reason);
}

ps_result *ps_plain_verify(const char *body, size_t length, const char *header, const ps_value *secrets,
                           int64_t tolerance, int64_t now) {
  const char *listed[MOST_SECRETS + 1];
  list_texts(secrets, listed, MOST_SECRETS);
  return ps_webhook_verify(body, length, header, listed, tolerance, now);
}

ps_result *ps_plain_event(const char *body, size_t length, const char *header, const ps_value *secrets,
                          int64_t tolerance, int64_t now, bool thin) {
  const char *listed[MOST_SECRETS + 1];
  list_texts(secrets, listed, MOST_SECRETS);
  return (thin ? ps_notification_parse : ps_event_parse)(body, length, header, listed, tolerance, now);
}

ps_result *ps_plain_event_unverified(const char *body, size_t length, bool thin) {
  return (thin ? ps_notification_parse_without_verification : ps_event_parse_without_verification)(body, length);
}

char *ps_plain_json(const ps_value *v) { return ps_json(v, NULL); }
