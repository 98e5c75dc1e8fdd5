#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api.h"

enum { OPERATIONS = 651 + 48, OBJECTS = 181 + 19, EVENTS = 275 + 326 + 8, SERVICES = 237 };

static const ps_api_operation *operation(const char *id) {
  const ps_api_operation *op = ps_operation_find(id);
  if (op == NULL) fail_msg("no operation %s", id);
  return op;
}

static const ps_api_type *object(const char *name) {
  const ps_api_type *t = ps_object_find(name);
  if (t == NULL) fail_msg("no object %s", name);
  return t;
}

/* The type at the end of a path of names. */
static const ps_api_type *down(const ps_api_type *t, const char *path) {
  char copy[256];
  snprintf(copy, sizeof copy, "%s", path);
  for (char *at = copy; at != NULL && t != NULL;) {
    char *dot = strchr(at, '.');
    if (dot != NULL) *dot++ = '\0';
    t = ps_type_field(t, at);
    at = dot;
  }
  return t;
}

static const ps_api_type *param(const char *id, const char *path) {
  return down(ps_operation_params(operation(id)), path);
}

/* A copy of a path with `id` in place of each {name}. */
static const char *filled(const char *path, const char *id) {
  static char out[512];
  size_t length = 0;
  for (; *path != '\0'; path++) {
    if (*path == '{') {
      length += (size_t)snprintf(out + length, sizeof out - length, "%s", id);
      path = strchr(path, '}');
    } else {
      out[length++] = *path;
    }
  }
  out[length] = '\0';
  return out;
}

static void every_operation_is_found_by_its_id(void **state) {
  (void)state;
  size_t count = 0;
  const char *last = "";
  for (const ps_api_operation *op = NULL; (op = ps_operation_next(op)) != NULL; count++) {
    const char *id = ps_operation_id(op), *name = ps_operation_name(op);
    assert_ptr_equal(ps_operation_find(id), op);
    assert_true(strcmp(last, id) < 0);
    last = id;
    const ps_api_service *s = ps_operation_service(op);
    size_t length = strlen(ps_service_path(s));
    assert_memory_equal(id, ps_service_path(s), length);
    assert_int_equal(id[length], '.');
    assert_string_equal(id + length + 1, name);
    assert_ptr_equal(ps_service_operation(s, name), op);
  }
  assert_int_equal(count, OPERATIONS);
  const char *unknown[] = {"",    "customers",       "customers.", "customers.creat", "customers.createe",
                           "zzz", "CUSTOMERS.CREATE"};
  for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) assert_null(ps_operation_find(unknown[i]));
}

static void every_operation_is_found_by_its_route(void **state) {
  (void)state;
  const char *ids[] = {"x_1", "a%2Fb%20c", "search.", "{id}", "1"};
  size_t aliases = 0;
  for (const ps_api_operation *op = NULL; (op = ps_operation_next(op)) != NULL;) {
    const char *method = ps_operation_method(op), *path = ps_operation_path(op);
    const ps_api_operation *alias = ps_operation_alias_of(op), *expected = alias == NULL ? op : alias;
    aliases += alias != NULL;
    assert_ptr_equal(ps_operation_route(method, path), expected);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
      char query[600];
      assert_ptr_equal(ps_operation_route(method, filled(path, ids[i])), expected);
      snprintf(query, sizeof query, "%s?expand[]=a/b&c=/d", filled(path, ids[i]));
      assert_ptr_equal(ps_operation_route(method, query), expected);
      snprintf(query, sizeof query, "%s/", filled(path, ids[i]));
      assert_null(ps_operation_route(method, query));
    }
  }
  assert_int_equal(aliases, 1);
}

static void a_literal_segment_beats_an_id(void **state) {
  (void)state;
  const struct {
    const char *method, *path, *id;
  } routes[] = {
    {"GET", "/v1/charges/search", "charges.search"},
    {"GET", "/v1/charges/searching", "charges.retrieve"},
    {"GET", "/v1/charges/searc", "charges.retrieve"},
    {"POST", "/v1/charges/search", "charges.update"},
    {"GET", "/v1/invoices/upcoming", "invoices.upcoming"},
    {"GET", "/v1/invoices/upcoming/lines", "invoices.upcoming_lines.list"},
    {"GET", "/v1/invoices/in_1/lines", "invoices.line_items.list"},
    {"DELETE", "/v1/invoices/upcoming", "invoices.delete"},
    {"GET", "/v1/account", "accounts.retrieve_current"},
    {"GET", "/v1/accounts/acct_1", "accounts.retrieve"},
    {"DELETE", "/v1/customers/cus_1/sources/src_1", "customers.payment_sources.delete"},
    {"POST", "/v2/core/accounts", "v2.core.accounts.create"},
    {"POST", "/oauth/token?a=b", "oauth.token"},
    {"GET", "/v1/balance#top", "balance.retrieve"},
  };
  for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
    assert_ptr_equal(ps_operation_route(routes[i].method, routes[i].path), operation(routes[i].id));
  }
}

static void what_is_no_route_leads_nowhere(void **state) {
  (void)state;
  const char *paths[] = {"",
                         "/",
                         "?",
                         "v1/charges",
                         "/v1",
                         "/v1/",
                         "/v1//",
                         "/v1/charge",
                         "/v1/charges/",
                         "//v1/charges",
                         "/v1/chargess",
                         "/v1/charges/a/b/c",
                         "/v3/x",
                         "/v1/charges//capture",
                         "/v1/charges?",
                         "/V1/charges"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    bool is_list = strcmp(paths[i], "/v1/charges?") == 0;
    assert_ptr_equal(ps_operation_route("GET", paths[i]), is_list ? operation("charges.list") : NULL);
  }
  const char *methods[] = {"", "get", "PUT", "PATCH", "DELETE", "GETS"};
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    assert_null(ps_operation_route(methods[i], "/v1/charges"));
  }
}

/* Services below `s`, and their operations. */
static void count_below(const ps_api_service *s, size_t *services, size_t *operations) {
  const char *last = "";
  for (const ps_api_service *child = NULL; (child = ps_service_child(s, child)) != NULL;) {
    const char *path = ps_service_path(child), *dot = strrchr(path, '.');
    assert_true(strcmp(last, path) < 0);
    last = path;
    assert_ptr_equal(ps_service_find(path), child);
    assert_int_equal(dot == NULL ? 0 : (size_t)(dot - path), s == NULL ? 0 : strlen(ps_service_path(s)));
    const char *last_name = "";
    for (const ps_api_operation *op = NULL; (op = ps_service_operation_next(child, op)) != NULL; ++*operations) {
      assert_ptr_equal(ps_operation_service(op), child);
      assert_true(strcmp(last_name, ps_operation_name(op)) < 0);
      last_name = ps_operation_name(op);
    }
    ++*services;
    count_below(child, services, operations);
  }
}

static void services_are_a_tree_with_every_operation(void **state) {
  (void)state;
  size_t services = 0, operations = 0, listed = 0;
  count_below(NULL, &services, &operations);
  for (const ps_api_service *s = NULL; (s = ps_service_next(s)) != NULL;) listed++;
  assert_int_equal(services, SERVICES);
  assert_int_equal(listed, SERVICES);
  assert_int_equal(operations, OPERATIONS);
  assert_null(ps_service_find("customer"));
  assert_null(ps_service_find(""));
  const ps_api_service *billing = ps_service_find("billing");
  assert_null(ps_service_operation_next(billing, NULL));
  assert_null(ps_service_operation(billing, "create"));
  assert_null(ps_service_operation_next(billing, operation("customers.create")));
  assert_string_equal(ps_service_path(ps_service_child(ps_service_find("accounts"), NULL)), "accounts.capabilities");
}

/* Every type below `t` once for each way that leads to it, up to references. */
static size_t walk(const ps_api_type *t) {
  size_t count = 1;
  if (t == NULL || ps_type_kind(t) == PS_TYPE_REF) return count;
  const char *last = "";
  for (const ps_api_field *f = NULL; (f = ps_field_next(t, f)) != NULL;) {
    const char *name = ps_field_name(f);
    assert_true(strcmp(last, name) < 0);
    last = name;
    assert_ptr_equal(ps_field_find(t, name), f);
    assert_non_null(ps_field_type(f));
    count += walk(ps_field_type(f));
  }
  if (ps_type_item(t) != NULL) count += walk(ps_type_item(t));
  for (size_t i = 0; ps_type_variant(t, i) != NULL; i++) count += walk(ps_type_variant(t, i));
  for (size_t i = 0; ps_type_value(t, i) != NULL; i++) assert_int_not_equal(*ps_type_value(t, i), '\0');
  return count;
}

static void a_walk_over_everything_ends(void **state) {
  (void)state;
  size_t params = 0, results = 0, objects = 0, events = 0, types = 0;
  for (const ps_api_operation *op = NULL; (op = ps_operation_next(op)) != NULL;) {
    assert_int_equal(ps_type_kind(ps_operation_params(op)), PS_TYPE_OBJECT);
    params += walk(ps_operation_params(op));
    results += walk(ps_operation_returns(op));
  }
  const char *last = "";
  for (const ps_api_type *t = NULL; (t = ps_object_next(t)) != NULL; objects++) {
    const char *name = ps_type_name(t);
    assert_ptr_equal(ps_object_find(name), t);
    assert_true(strcmp(last, name) < 0);
    last = name;
    const ps_api_type *deleted = ps_object_deleted(t);
    if (deleted != NULL) assert_string_equal(ps_type_name(deleted), name);
    types += walk(t) + (deleted == NULL ? 0 : walk(deleted));
  }
  last = "";
  for (const ps_api_event *e = NULL; (e = ps_event_next(e)) != NULL; events++) {
    assert_ptr_equal(ps_event_find(ps_event_type(e)), e);
    assert_true(strcmp(last, ps_event_type(e)) < 0);
    last = ps_event_type(e);
    for (size_t i = 0; ps_event_object(e, i) != NULL; i++) object(ps_event_object(e, i));
  }
  assert_int_equal(objects, OBJECTS);
  assert_int_equal(events, EVENTS);
  assert_in_range(params, 15000, 50000);
  assert_in_range(types, 8000, 50000);
  assert_in_range(results, OPERATIONS, 5000);
}

static void operations_tell_all_that_the_description_has(void **state) {
  (void)state;
  const ps_api_operation *op = operation("v2.core.vault.us_bank_accounts.create");
  assert_int_equal(ps_operation_version(op), 2);
  assert_string_equal(ps_operation_encoding(op), "json");
  assert_string_equal(ps_operation_throws(op, 0), "BlockedByStripeError");
  op = operation("files.create");
  assert_string_equal(ps_operation_base(op), "files");
  assert_string_equal(ps_operation_kind(op), "upload");
  assert_string_equal(ps_operation_encoding(op), "multipart");
  assert_true(ps_operation_params_required(op));
  assert_int_equal(ps_type_kind(param("files.create", "file")), PS_TYPE_FILE);
  op = operation("quotes.pdf");
  assert_string_equal(ps_operation_returns_kind(op), "binary");
  assert_null(ps_operation_returns(op));
  assert_string_equal(ps_operation_path_param(op, 0), "quote");
  assert_null(ps_operation_path_param(op, 1));
  op = operation("orders.create");
  assert_string_equal(ps_operation_status(op), "removed");
  assert_string_equal(ps_operation_stripe_version(op), "2022-08-01; orders_beta=v4");
  assert_true(ps_operation_deprecated(operation("exchange_rates.list")));
  assert_false(ps_operation_deprecated(operation("charges.list")));
  assert_string_equal(ps_operation_id(ps_operation_alias_of(operation("sources.detach"))),
                      "customers.payment_sources.delete");
  assert_string_equal(ps_api_nearest_operation("customers.creat"), "customers.create");
  assert_string_equal(ps_api_version(), "2026-10-28.endive");
  assert_string_equal(ps_api_base("files"), "https://files.stripe.com");
  assert_string_equal(ps_api_base("meter_events"), "https://meter-events.stripe.com");
  assert_null(ps_api_base("web"));
  assert_string_equal(PS_CUSTOMERS_CREATE, "customers.create");
}

static void errors_and_events_are_listed(void **state) {
  (void)state;
  size_t codes = 0;
  for (; ps_api_error_code(codes) != NULL; codes++) {
    if (codes > 0) assert_true(strcmp(ps_api_error_code(codes - 1), ps_api_error_code(codes)) < 0);
  }
  assert_int_equal(codes, 209);
  const ps_api_event *e = ps_event_find("customer.source.created");
  assert_false(ps_event_thin(e));
  assert_string_equal(ps_event_object(e, 0), "account");
  assert_string_equal(ps_event_object(e, 3), "source");
  assert_null(ps_event_object(e, 4));
  assert_null(ps_event_data(e));
  e = ps_event_find("v1.billing.meter.error_report_triggered");
  assert_true(ps_event_thin(e));
  assert_string_equal(ps_event_object(e, 0), "billing.meter");
  assert_int_equal(ps_type_kind(down(ps_event_data(e), "reason.error_types.0.code")), PS_TYPE_ENUM);
  assert_null(ps_event_find("charge.exploded"));
}

static void objects_have_names_prefixes_and_deleted_forms(void **state) {
  (void)state;
  const ps_api_type *customer = object("customer"), *deleted = ps_object_deleted(customer);
  assert_string_equal(ps_object_sdk_name(customer), "Customer");
  assert_string_equal(ps_object_id_prefix(customer), "cus_");
  assert_int_equal(ps_type_flags(customer), 0);
  assert_true(ps_type_flags(deleted) & PS_FLAG_DELETED);
  assert_true(ps_field_flags(ps_field_find(deleted, "deleted")) & PS_FLAG_TRUE);
  assert_null(ps_object_deleted(object("charge")));
  assert_string_equal(ps_object_id_prefix(object("balance")), "");
  assert_null(ps_object_find("Customer"));
  assert_ptr_equal(ps_object_deleted(deleted), deleted);
}

static void nothing_is_the_type_of_nothing(void **state) {
  (void)state;
  assert_int_equal(ps_type_kind(NULL), PS_TYPE_ANY);
  assert_int_equal(ps_type_flags(NULL), 0);
  assert_string_equal(ps_type_name(NULL), "");
  assert_null(ps_type_item(NULL));
  assert_null(ps_type_variant(NULL, 0));
  assert_null(ps_type_value(NULL, 0));
  assert_null(ps_field_find(NULL, "id"));
  assert_null(ps_field_next(NULL, NULL));
  assert_null(ps_type_field(NULL, "id"));
  assert_null(ps_type_resolve(NULL, NULL));
  assert_null(ps_object_deleted(NULL));
  assert_string_equal(ps_object_id_prefix(NULL), "");
  assert_null(ps_type_nearest_field(NULL, "id"));
}

static void flags_stand_beside_fields(void **state) {
  (void)state;
  const ps_api_type *params = ps_operation_params(operation("customers.create"));
  assert_int_equal(ps_field_flags(ps_field_find(params, "metadata")), PS_FLAG_EMPTYABLE | PS_FLAG_METADATA);
  assert_int_equal(ps_field_flags(ps_field_find(params, "email")), 0);
  params = ps_operation_params(operation("prices.create"));
  assert_int_equal(ps_field_flags(ps_field_find(params, "currency")), PS_FLAG_REQUIRED);
  params = ps_operation_params(operation("charges.list"));
  assert_int_equal(ps_field_flags(ps_field_find(params, "created")), PS_FLAG_SCALAR);
  const ps_api_type *customer = object("customer");
  assert_int_equal(ps_field_flags(ps_field_find(customer, "currency")), PS_FLAG_NULLABLE | PS_FLAG_OPTIONAL);
  const ps_api_type *charge = object("charge");
  assert_int_equal(ps_field_flags(ps_field_find(charge, "status")) & PS_FLAG_REQUIRED, 0);
  const ps_api_type *amounts = param("balance_settings.update", "payments.payouts.minimum_balance_by_currency");
  assert_int_equal(ps_type_flags(ps_type_item(amounts)), PS_FLAG_EMPTYABLE);
  const ps_api_type *event = object("v2.core.event");
  assert_int_equal(ps_field_flags(ps_field_find(event, "created")), PS_FLAG_DATE_TIME);
}

static void a_field_is_seen_through_what_holds_it(void **state) {
  (void)state;
  const ps_api_type *charge = object("charge");
  assert_int_equal(ps_type_kind(down(charge, "amount")), PS_TYPE_INT);
  assert_int_equal(ps_type_kind(down(charge, "customer")), PS_TYPE_EXPANDABLE);
  assert_int_equal(ps_type_kind(down(charge, "customer.email")), PS_TYPE_STRING);
  assert_int_equal(ps_type_kind(down(charge, "refunds.data.3.amount")), PS_TYPE_INT);
  assert_int_equal(ps_type_kind(down(charge, "refunds.has_more")), PS_TYPE_BOOL);
  assert_int_equal(ps_type_kind(down(charge, "metadata.anything at all")), PS_TYPE_STRING);
  assert_null(down(charge, "amount.cents"));
  assert_null(down(charge, "refunds.data.first"));
  assert_null(down(charge, "refunds.data."));
  assert_null(down(charge, "nothing"));
  assert_int_equal(ps_type_kind(param("charges.list", "created.gte")), PS_TYPE_TIMESTAMP);
  assert_null(param("charges.list", "created.ge"));
  assert_int_equal(ps_type_kind(param("subscriptions.create", "items.0.price_data.recurring.interval")), PS_TYPE_ENUM);
  assert_int_equal(ps_type_kind(param("accounts.create", "external_account.account_number")), PS_TYPE_STRING);
}

static void pages_have_the_fields_of_their_kind(void **state) {
  (void)state;
  const ps_api_type *page = ps_operation_returns(operation("charges.list"));
  assert_int_equal(ps_type_kind(page), PS_TYPE_LIST);
  assert_string_equal(ps_type_name(ps_type_item(page)), "charge");
  assert_string_equal(ps_type_name(down(page, "data.0")), "charge");
  assert_int_equal(ps_type_kind(down(page, "url")), PS_TYPE_STRING);
  assert_null(down(page, "next_page"));
  page = ps_operation_returns(operation("charges.search"));
  assert_int_equal(ps_type_kind(page), PS_TYPE_LIST);
  assert_int_equal(ps_type_kind(down(page, "next_page")), PS_TYPE_STRING);
  assert_int_equal(ps_type_kind(down(page, "data.0.amount")), PS_TYPE_INT);
  page = ps_operation_returns(operation("v2.core.accounts.list"));
  assert_int_equal(ps_type_kind(down(page, "next_page_url")), PS_TYPE_STRING);
  assert_null(down(page, "has_more"));
  assert_string_equal(ps_type_name(ps_type_item(page)), "v2.core.account");
}

static void an_object_may_be_returned_without_some_fields(void **state) {
  (void)state;
  const ps_api_type *upcoming = ps_type_variant(ps_operation_returns(operation("invoices.upcoming")), 0);
  assert_string_equal(ps_type_name(upcoming), "invoice");
  assert_null(ps_field_find(upcoming, "id"));
  assert_non_null(ps_field_find(upcoming, "lines"));
  assert_non_null(ps_field_find(object("invoice"), "id"));
}

static const ps_api_type *resolved(const ps_api_type *t, const char *json) {
  ps_value *v = ps_value_parse(json, strlen(json));
  assert_string_equal(ps_value_error(v), "");
  t = ps_type_resolve(t, v);
  ps_value_free(v);
  return t;
}

static void a_value_tells_which_variant_it_is(void **state) {
  (void)state;
  const ps_api_type *customer = object("customer"), *gone = ps_object_deleted(customer);
  const ps_api_type *expandable = down(object("charge"), "customer");
  assert_int_equal(ps_type_kind(resolved(expandable, "\"cus_1\"")), PS_TYPE_STRING);
  assert_ptr_equal(resolved(expandable, "{\"object\":\"customer\"}"), customer);
  assert_ptr_equal(resolved(expandable, "{\"object\":\"customer\",\"deleted\":true}"), gone);
  assert_ptr_equal(resolved(expandable, "{\"object\":\"account\"}"), object("account"));
  assert_ptr_equal(resolved(expandable, "{\"object\":\"thing of a newer API\"}"), expandable);
  assert_ptr_equal(resolved(expandable, "null"), expandable);

  const ps_api_type *returns = ps_operation_returns(operation("customers.retrieve"));
  assert_ptr_equal(resolved(returns, "{\"id\":\"cus_1\",\"object\":\"customer\"}"), customer);
  assert_ptr_equal(resolved(returns, "{\"deleted\":true,\"object\":\"customer\"}"), gone);
  returns = ps_operation_returns(operation("customers.create"));
  assert_ptr_equal(resolved(returns, "{}"), customer);
  assert_ptr_equal(resolved(returns, "{\"deleted\":true,\"object\":\"customer\"}"), gone);
  assert_ptr_equal(resolved(returns, "{\"object\":\"thing of a newer API\"}"), customer);
  const ps_api_type *sources = ps_operation_returns(operation("customers.payment_sources.retrieve"));
  assert_int_equal(ps_type_kind(sources), PS_TYPE_UNION);
  assert_ptr_equal(resolved(sources, "{\"object\":\"card\"}"), object("card"));
  assert_ptr_equal(resolved(sources, "{\"object\":\"bank_account\"}"), object("bank_account"));
  const ps_api_type *upcoming = ps_operation_returns(operation("invoices.upcoming"));
  assert_null(ps_field_find(resolved(upcoming, "{\"object\":\"invoice\"}"), "id"));
}

static void unions_of_plain_types_are_told_by_the_value(void **state) {
  (void)state;
  const ps_api_type *anchor = param("subscriptions.update", "trial_end");
  assert_int_equal(ps_type_kind(anchor), PS_TYPE_UNION);
  assert_int_equal(ps_type_kind(resolved(anchor, "1700000000")), PS_TYPE_TIMESTAMP);
  assert_int_equal(ps_type_kind(resolved(anchor, "\"now\"")), PS_TYPE_ENUM);
  assert_ptr_equal(resolved(anchor, "\"tomorrow\""), anchor);
  assert_ptr_equal(resolved(anchor, "[]"), anchor);
  const ps_api_type *account = param("accounts.create", "external_account");
  assert_int_equal(ps_type_kind(resolved(account, "\"btok_1\"")), PS_TYPE_STRING);
  const ps_api_type *bank = resolved(account, "{\"object\":\"bank_account\",\"country\":\"US\"}");
  assert_int_equal(ps_type_kind(bank), PS_TYPE_OBJECT);
  assert_string_equal(ps_type_name(bank), "");
  assert_non_null(ps_field_find(bank, "account_number"));
}

static void an_untyped_value_is_what_it_says(void **state) {
  (void)state;
  const ps_api_type *data = down(object("event"), "data.object");
  assert_ptr_equal(resolved(data, "{\"object\":\"charge\"}"), object("charge"));
  assert_ptr_equal(resolved(data, "{}"), data);
  assert_ptr_equal(resolved(NULL, "{\"object\":\"charge\"}"), object("charge"));
  assert_null(resolved(NULL, "{\"object\":\"list\"}"));
  assert_null(resolved(NULL, "{\"object\":7}"));
  assert_null(resolved(NULL, "\"charge\""));
}

static void the_nearest_field_is_named(void **state) {
  (void)state;
  const ps_api_type *params = ps_operation_params(operation("customers.create"));
  assert_string_equal(ps_type_nearest_field(params, "emial"), "email");
  assert_string_equal(ps_type_nearest_field(ps_type_field(params, "address"), "lin1"), "line1");
  assert_null(ps_type_nearest_field(params, "completely_different_thing"));
  assert_string_equal(ps_type_nearest_field(param("charges.list", "created"), "gtee"), "gte");
  assert_string_equal(ps_type_nearest_field(param("accounts.create", "external_account"), "routing_numbr"),
                      "routing_number");
  assert_string_equal(ps_type_nearest_field(down(object("charge"), "customer"), "balanc"), "balance");
}

/* ---- The rows of the reference ---- */

/* Cuts the next piece, up to one of `ends`, off `*at`; NULL after the last. */
static char *piece(char **at, char end) {
  char *start = *at;
  if (start == NULL) return NULL;
  char *stop = strchr(start, end);
  if (stop != NULL) *stop++ = '\0';
  *at = stop;
  return start;
}

static size_t check_operations(char *ids, const char *heading, bool legacy) {
  size_t count = 0;
  for (char *id; (id = piece(&ids, ' ')) != NULL && *id != '\0'; count++) {
    const ps_api_operation *op = ps_operation_find(id);
    if (op == NULL) fail_msg("%s: no operation %s", heading, id);
    assert_string_equal(ps_operation_id(op), id);
    assert_int_equal(*ps_operation_status(op) != '\0', legacy);
    size_t ids_in_path = 0, params = 0;
    for (const char *p = ps_operation_path(op); (p = strchr(p, '{')) != NULL; p++) ids_in_path++;
    while (ps_operation_path_param(op, params) != NULL) params++;
    assert_int_equal(params, ids_in_path);
  }
  return count;
}

static void every_row_of_the_reference_is_in_the_table(void **state) {
  (void)state;
  FILE *file = fopen(PS_SOURCE_DIR "/tests/cases/seed-rows.tsv", "r");
  assert_non_null(file);
  char line[4096];
  size_t rows = 0, operations = 0;
  assert_non_null(fgets(line, sizeof line, file)); /* the names of the columns */
  for (; fgets(line, sizeof line, file) != NULL; rows++) {
    char *at = line;
    piece(&at, '\t');
    const char *heading = piece(&at, '\t');
    piece(&at, '\t');
    char *objects = piece(&at, '\t'), *ids = piece(&at, '\t'), *legacy = piece(&at, '\t');
    assert_non_null(legacy);
    for (char *name; (name = piece(&objects, ' ')) != NULL && *name != '\0';) {
      if (ps_object_find(name) == NULL) fail_msg("%s: no object %s", heading, name);
    }
    size_t count = check_operations(ids, heading, false) + check_operations(legacy, heading, true);
    assert_int_not_equal(count, 0);
    operations += count;
  }
  fclose(file);
  assert_in_range(rows, 100, 150);
  assert_in_range(operations, 400, OPERATIONS);
}

static void addresses_stand_beside_the_operations_of_a_service(void **state) {
  (void)state;
  const ps_api_service *oauth = ps_service_find("oauth");
  assert_true(ps_service_has_url(oauth, "authorize_url"));
  assert_false(ps_service_has_url(oauth, "token"));
  assert_false(ps_service_has_url(ps_service_find("customers"), "authorize_url"));
  const ps_api_url *url = ps_url_find("oauth.authorize_url");
  assert_string_equal(ps_url_base(url), "connect");
  assert_string_equal(ps_url_path(url, false), "/oauth/authorize");
  assert_string_equal(ps_url_path(url, true), "/express/oauth/authorize");
  assert_non_null(ps_field_find(ps_url_params(url), "suggested_capabilities"));
  assert_string_equal(ps_url_default(url, 0), "response_type");
  assert_string_equal(ps_url_default(url, 1), "code");
  assert_null(ps_url_default(url, 2));
  assert_null(ps_url_find("oauth.token"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(addresses_stand_beside_the_operations_of_a_service),
    cmocka_unit_test(every_operation_is_found_by_its_id),
    cmocka_unit_test(every_operation_is_found_by_its_route),
    cmocka_unit_test(a_literal_segment_beats_an_id),
    cmocka_unit_test(what_is_no_route_leads_nowhere),
    cmocka_unit_test(services_are_a_tree_with_every_operation),
    cmocka_unit_test(a_walk_over_everything_ends),
    cmocka_unit_test(operations_tell_all_that_the_description_has),
    cmocka_unit_test(errors_and_events_are_listed),
    cmocka_unit_test(objects_have_names_prefixes_and_deleted_forms),
    cmocka_unit_test(nothing_is_the_type_of_nothing),
    cmocka_unit_test(flags_stand_beside_fields),
    cmocka_unit_test(a_field_is_seen_through_what_holds_it),
    cmocka_unit_test(pages_have_the_fields_of_their_kind),
    cmocka_unit_test(an_object_may_be_returned_without_some_fields),
    cmocka_unit_test(a_value_tells_which_variant_it_is),
    cmocka_unit_test(unions_of_plain_types_are_told_by_the_value),
    cmocka_unit_test(an_untyped_value_is_what_it_says),
    cmocka_unit_test(the_nearest_field_is_named),
    cmocka_unit_test(every_row_of_the_reference_is_in_the_table),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
