/* A call as the package makes it, whole or in its two halves:
 *
 *   begin ──▶ exchange ──▶ run in slices ──▶ end ──▶ an object; the Reply, if there is more to say than its data
 *
 * core.call is all of it, for what most programs do. With hooks, a log, a transport of its own or asyncio, Python drives
 * the exchange between the halves: pinstripe/_drive.py. What a call is made of is borrowed from its arguments, but for
 * what `ingredients` made, which is freed once the exchange has begun. */
#include "binding.h"

#include <string.h>

enum { SLICE_MS = 100, MOST_IDS = 8 };

typedef struct ingredients {
  ps_client *client;
  const ps_api_operation *operation;
  const char *ids[MOST_IDS + 1];
  ps_value *params; /* made; or NULL: none */
  const ps_value *options;
  ps_value *made_options;
} ingredients;

/* Of facts_of in table.c, whose last is the operation itself. */
static const ps_api_operation *to_operation(PyObject *facts) {
  PyObject *last = PyTuple_GetItem(facts, PyTuple_Size(facts) - 1);
  return last ? from_capsule(last, "ps_operation") : NULL;
}

/* ---- Beginning ---- */

static bool read_id(ingredients *in, Py_ssize_t i, PyObject *id) {
  Py_ssize_t length;
  const char *text = PyUnicode_AsUTF8AndSize(id, &length);
  in->ids[i] = text;
  if (text && strlen(text) == (size_t)length) return true;
  PyErr_Format(PyExc_ValueError, "%s: the id %s holds a %s, which no id does", ps_operation_id(in->operation),
               ps_operation_path_param(in->operation, (size_t)i), text ? "NUL character" : "lone surrogate");
  return false;
}

static bool read_ids(ingredients *in, PyObject *ids) {
  Py_ssize_t count = PySequence_Size(ids);
  for (Py_ssize_t i = 0; i < count && i < MOST_IDS; i++) {
    PyObject *id = PySequence_GetItem(ids, i);
    bool good = id && read_id(in, i, id);
    Py_XDECREF(id); /* `ids` has it still */
    if (!good) return false;
  }
  return count >= 0;
}

static bool read_ingredients(ingredients *in, PyObject *const *args) {
  in->client = from_capsule(args[0], "ps_client");
  in->operation = in->client ? to_operation(args[1]) : NULL;
  if (!in->operation || !read_ids(in, args[2])) return false;
  bool json = ps_operation_version(in->operation) == 2;
  return read_params(args[3], json, &in->params) && borrow_value(args[4], "options", &in->options, &in->made_options);
}

/* Of (client, operation, ids, params, options); NULL: an error is set. */
static ps_exchange *begin(PyObject *const *args) {
  ingredients in = {0};
  ps_exchange *x = NULL;
  if (read_ingredients(&in, args)) {
    x = ps_plain_begin(in.client, ps_operation_id(in.operation), in.ids, in.params, in.options);
  }
  ps_value_free(in.params);
  ps_value_free(in.made_options);
  return x;
}

/* ---- Ending ---- */

/* What the origin's next calls may ask of the object: the params of what can be asked for again. */
static bool keeps_params(const ps_api_operation *op) {
  static const char *const lists[] = {"list", "search", "v2_list"};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    if (strcmp(ps_operation_kind(op), lists[i]) == 0) return true;
  }
  return strcmp(ps_operation_method(op), "GET") == 0;
}

/* Whether an operation's result is no object, or one of another class than its data says. */
static bool is_special(const ps_api_operation *op) {
  return strcmp(ps_operation_returns_kind(op), "binary") == 0 ||
         (ps_operation_version(op) == 2 && strcmp(ps_operation_method(op), "DELETE") == 0);
}

static PyObject *end(ps_exchange *x, const ps_api_operation *op, PyObject *params, PyObject *origin) {
  ps_result *result = ps_exchange_result(x);
  bool ordinary = ps_result_ok(result) && !is_special(op) && !ps_result_header(result, "Stripe-Notice");
  reply *r = (reply *)new_reply(result);
  if (!r) return NULL;
  r->origin = Py_NewRef(origin);
  r->params = Py_NewRef(keeps_params(op) ? params : Py_None);
  PyObject *found = ordinary ? reply_read(r, NULL) : Py_NewRef((PyObject *)r);
  Py_DECREF(r);
  return found;
}

/* Between two slices Python looks at its signals. */
static bool run(ps_exchange *x) {
  ps_step step;
  for (;;) {
    Py_BEGIN_ALLOW_THREADS step = ps_exchange_run(x, SLICE_MS);
    Py_END_ALLOW_THREADS if (step == PS_DONE) return true;
    if (PyErr_CheckSignals() < 0) return false;
  }
}

/* ---- For Python's side ---- */

static bool check_count(Py_ssize_t count, Py_ssize_t expected) {
  if (count != expected) PyErr_Format(PyExc_TypeError, "%zd arguments, where %zd are expected", count, expected);
  return count == expected;
}

/* core.begin(client, operation, ids, params, options) → an exchange */
static PyObject *core_begin(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  (void)self;
  ps_exchange *x = check_count(count, 5) ? begin(args) : NULL;
  return x ? to_capsule(x, "ps_exchange") : NULL;
}

/* core.end(exchange, operation, params, origin) → an object, or the Reply */
static PyObject *core_end(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  (void)self;
  ps_exchange *x = check_count(count, 4) ? from_capsule(args[0], "ps_exchange") : NULL;
  const ps_api_operation *op = x ? to_operation(args[1]) : NULL;
  return op ? end(x, op, args[2], args[3]) : NULL;
}

/* core.call(client, operation, ids, params, options, origin) → an object, or the Reply */
static PyObject *core_call(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  (void)self;
  ps_exchange *x = check_count(count, 6) ? begin(args) : NULL;
  PyObject *found = x && run(x) ? end(x, to_operation(args[1]), args[3], args[5]) : NULL;
  ps_exchange_free(x);
  return found;
}

PyMethodDef call_functions[] = {
  {"begin", (PyCFunction)(void (*)(void))core_begin, METH_FASTCALL, NULL},
  {"end", (PyCFunction)(void (*)(void))core_end, METH_FASTCALL, NULL},
  {"call", (PyCFunction)(void (*)(void))core_call, METH_FASTCALL, NULL},
  {NULL, NULL, 0, NULL},
};
