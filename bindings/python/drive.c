/* What a driver in Python needs of an exchange, for clients with hooks, a log or a transport of their own: see
 * pinstripe/_drive.py. */
#include "binding.h"

#include <string.h>

static ps_exchange *to_exchange(PyObject *capsule) { return from_capsule(capsule, "ps_exchange"); }

/* core.read_body(exchange) → the body's next bytes, b"" at its end; None: it waits to be fed */
PyObject *core_read_body(PyObject *self, PyObject *capsule) {
  char piece[65536];
  (void)self;
  ps_exchange *x = to_exchange(capsule);
  const ps_body *body = x ? ps_exchange_request(x)->body : NULL;
  if (!body) return PyErr_Occurred() ? NULL : PyBytes_FromString("");
  ptrdiff_t n = body->read(body->context, piece, sizeof piece);
  if (n == PS_BODY_LATER) Py_RETURN_NONE;
  if (n < 0) return PyErr_Format(PyExc_OSError, "the body of the request could not be read to its end");
  return PyBytes_FromStringAndSize(piece, n);
}

static PyObject *headers_of(const ps_http_request *request) {
  PyObject *headers = PyDict_New();
  for (size_t i = 0; headers && i < request->header_count; i++) {
    const char *value = request->headers[i].value;
    PyObject *text = PyUnicode_DecodeLatin1(value, (Py_ssize_t)strlen(value), NULL);
    if (!text || PyDict_SetItemString(headers, request->headers[i].name, text) < 0) Py_CLEAR(headers);
    Py_XDECREF(text);
  }
  return headers;
}

/* core.request_of(exchange) → (method, url, headers, whether it has a body, timeout, connect_timeout) */
PyObject *core_request_of(PyObject *self, PyObject *capsule) {
  (void)self;
  ps_exchange *x = to_exchange(capsule);
  if (!x) return NULL;
  const ps_http_request *request = ps_exchange_request(x);
  double timeout = request->timeout;
  if (request->deadline >= 0 && request->deadline < timeout) timeout = request->deadline;
  return Py_BuildValue("(ssNOdd)", request->method, request->url, headers_of(request),
                       request->body ? Py_True : Py_False, timeout, request->connect_timeout);
}

/* core.answer(exchange, status, [(name, value)], body) */
PyObject *core_answer(PyObject *self, PyObject *args) {
  PyObject *capsule, *headers, *name, *value;
  const char *body;
  Py_ssize_t length, at = 0;
  int status;
  (void)self;
  if (!PyArg_ParseTuple(args, "OiO!y#", &capsule, &status, &PyDict_Type, &headers, &body, &length)) return NULL;
  ps_exchange *x = to_exchange(capsule);
  if (!x) return NULL;
  ps_http_response *response = ps_exchange_response(x);
  while (PyDict_Next(headers, &at, &name, &value)) {
    const char *n = PyUnicode_AsUTF8AndSize(name, NULL), *v = PyUnicode_AsUTF8AndSize(value, NULL);
    if (!n || !v) return NULL;
    ps_http_response_header(response, n, v);
  }
  ps_http_response_status(response, status);
  ps_http_response_write(response, body, (size_t)length);
  Py_RETURN_NONE;
}

/* core.fail(exchange, reason, is it a timeout, was certainly nothing sent) */
PyObject *core_fail(PyObject *self, PyObject *args) {
  PyObject *capsule;
  const char *reason;
  int timeout, not_sent;
  (void)self;
  if (!PyArg_ParseTuple(args, "Ospp", &capsule, &reason, &timeout, &not_sent)) return NULL;
  ps_exchange *x = to_exchange(capsule);
  if (!x) return NULL;
  ps_http_response_fail(ps_exchange_response(x), timeout ? PS_ERROR_TIMEOUT : PS_ERROR_CONNECTION,
                        not_sent ? PS_OUTCOME_NOT_SENT : PS_OUTCOME_UNKNOWN, reason);
  Py_RETURN_NONE;
}

/* core.event(exchange) → the next thing that happened, as a dict, or None */
PyObject *core_event(PyObject *self, PyObject *capsule) {
  static const char *const kinds[] = {"request", "response", "retry", "notice"};
  (void)self;
  ps_exchange *x = to_exchange(capsule);
  const ps_call_event *e = x ? ps_exchange_event(x) : NULL;
  if (!x) return NULL;
  if (!e) Py_RETURN_NONE;
  char *line = ps_log_line(e);
  PyObject *event = Py_BuildValue("{ss ss ss ss ss si si sd ss ss ss}", "kind", kinds[e->kind], "level",
                                  ps_log_level_name(e->level), "operation", e->operation, "method", e->method, "path",
                                  e->path, "attempt", e->attempt, "status", e->status, "duration", e->duration,
                                  "request_id", e->request_id, "message", e->message, "line", line ? line : e->message);
  ps_free(line);
  return event;
}
