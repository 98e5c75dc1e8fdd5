/* A call as the package makes it, whole or in its two halves:
 *
 *   begin ──▶ exchange ──▶ run in slices ──▶ end ──▶ an object; the Reply, if there is more to say than its data
 *
 * core.call is all of it, for what most programs do. With hooks, a log, a transport of its own or asyncio, Python drives
 * the exchange between the halves: pinstripe/_drive.py. What a call is made of is read while the GIL is held, and freed
 * once the exchange has begun, which keeps copies. */
#include "binding.h"

#include <string.h>

enum { MOST_IDS = 8 };

/* Of facts_of in table.c, whose last is the operation itself. */
static const ps_api_operation *to_operation(PyObject *facts) {
  PyObject *last = PyTuple_GetItem(facts, PyTuple_Size(facts) - 1);
  return last ? from_capsule(last, "ps_operation") : NULL;
}

/* ---- Beginning ---- */

/* The ids of a tuple, which owns their text; `texts` ends with NULL. */
static bool read_ids(const ps_api_operation *op, PyObject *ids, const char **texts) {
  bool good = true;
  for (Py_ssize_t i = 0; good && i < PyTuple_Size(ids) && i < MOST_IDS; i++) {
    good = borrow_text(PyTuple_GetItem(ids, i), ps_operation_id(op), ps_operation_path_param(op, (size_t)i), &texts[i]);
  }
  return good;
}

/* Of (client, operation, ids, params, options); NULL: an error is set. */
static ps_exchange *begin(PyObject *const *args) {
  const char *texts[MOST_IDS + 1] = {NULL};
  ps_value *params = NULL, *options = NULL;
  ps_exchange *x = NULL;
  ps_client *client = from_capsule(args[0], "ps_client");
  const ps_api_operation *op = client ? to_operation(args[1]) : NULL;
  PyObject *ids = op ? PySequence_Tuple(args[2]) : NULL;
  if (ids && read_ids(op, ids, texts) &&
      read_params(args[3], strcmp(ps_operation_encoding(op), "json") == 0, &params) &&
      read_argument(args[4], "options", &options)) {
    x = ps_plain_begin(client, ps_operation_id(op), texts, params, options);
  }
  ps_value_free(params);
  ps_value_free(options);
  Py_XDECREF(ids);
  return x;
}

/* ---- Ending ---- */

/* Whether an operation's result is no object, or one of another class than its data says. */
static bool is_special(const ps_api_operation *op) {
  return strcmp(ps_operation_returns_kind(op), "binary") == 0 ||
         (ps_operation_version(op) == 2 && strcmp(ps_operation_method(op), "DELETE") == 0);
}

/* The params stay with what can be asked for again. */
static PyObject *end(ps_exchange *x, const ps_api_operation *op, PyObject *params, PyObject *origin) {
  ps_result *result = ps_exchange_result(x);
  bool ordinary = ps_result_ok(result) && !is_special(op) && !ps_result_header(result, "Stripe-Notice");
  reply *r = (reply *)new_reply(result);
  if (!r) return NULL;
  r->origin = Py_NewRef(origin);
  r->params = strcmp(ps_operation_method(op), "GET") == 0 ? Py_NewRef(params) : NULL;
  PyObject *found = ordinary ? reply_read(r, NULL) : Py_NewRef((PyObject *)r);
  Py_DECREF(r);
  return found;
}

/* False: an exception came in between. */
static bool run(ps_exchange *x) {
  for (;;) {
    PyThreadState *thread = PyEval_SaveThread();
    bool done = ps_plain_run(x, SLICE_MS);
    PyEval_RestoreThread(thread);
    if (done) return true;
    if (!look_around()) return false;
  }
}

/* ---- For Python's side ---- */

static bool check_count(Py_ssize_t count, Py_ssize_t expected) {
  if (count != expected) PyErr_Format(PyExc_TypeError, "%zd arguments, where %zd are expected", count, expected);
  return count == expected;
}

/* core.begin(client, operation, ids, params, options) → an exchange */
static PyObject *core_begin(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t count) {
  ps_exchange *x = check_count(count, 5) ? begin(args) : NULL;
  return x ? to_capsule(x, "ps_exchange") : NULL;
}

/* core.end(exchange, operation, params, origin) → an object, or the Reply */
static PyObject *core_end(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t count) {
  ps_exchange *x = check_count(count, 4) ? from_capsule(args[0], "ps_exchange") : NULL;
  const ps_api_operation *op = x ? to_operation(args[1]) : NULL;
  return op ? end(x, op, args[2], args[3]) : NULL;
}

/* core.call(client, operation, ids, params, options, origin) → an object, or the Reply */
static PyObject *core_call(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t count) {
  ps_exchange *x = check_count(count, 6) ? begin(args) : NULL;
  PyObject *found = x && run(x) ? end(x, to_operation(args[1]), args[3], args[5]) : NULL;
  ps_exchange_free(x);
  return found;
}

/* core.request(client, method, path, params, options) → an exchange */
static PyObject *core_request(PyObject *Py_UNUSED(self), PyObject *args) {
  PyObject *capsule, *given, *more;
  const char *method, *path;
  ps_value *params = NULL, *options = NULL;
  ps_exchange *x = NULL;
  if (!PyArg_ParseTuple(args, "OssOO", &capsule, &method, &path, &given, &more)) return NULL;
  ps_client *client = from_capsule(capsule, "ps_client");
  if (client && read_params(given, strncmp(path, "/v2/", 4) == 0 && *method == 'P', &params) &&
      read_argument(more, "options", &options)) {
    x = ps_plain_request(client, method, path, params, options);
  }
  ps_value_free(params);
  ps_value_free(options);
  return x ? to_capsule(x, "ps_exchange") : NULL;
}

PyMethodDef call_functions[] = {
  {"begin", (PyCFunction)(void (*)(void))core_begin, METH_FASTCALL, NULL},
  {"end", (PyCFunction)(void (*)(void))core_end, METH_FASTCALL, NULL},
  {"call", (PyCFunction)(void (*)(void))core_call, METH_FASTCALL, NULL},
  {"request", core_request, METH_VARARGS, NULL},
  {NULL, NULL, 0, NULL},
};
