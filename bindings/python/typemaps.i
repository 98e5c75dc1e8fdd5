/* How Python sees the handles: each is a capsule that frees what it holds; a value is any Python value that read.c can
 * turn into one. */
%{
#include "binding.h"
%}

/* Only a call that waits lets other threads run. */
%nothread;
%define WAITS(function)
%exception function {
  PyObject *owner = PyCapsule_GetContext(swig_obj[0]);
  if (!hold(owner)) SWIG_fail;
  PyThreadState *thread = PyEval_SaveThread();
  $action
  PyEval_RestoreThread(thread);
  let_go(owner);
}
%enddef
WAITS(ps_plain_run)
WAITS(ps_exchange_carry)

%typemap(in) ps_client *, ps_exchange *, ps_meter * {
  $1 = from_capsule($input, "$1_basetype");
  if (!$1) SWIG_fail;
}
%typemap(out) ps_client *, ps_exchange *, ps_meter * {
  $result = to_capsule($1, "$1_basetype");
}
%typemap(in) const ps_value * (ps_value *made = NULL) {
  if (!read_argument($input, "$1_name", &made)) SWIG_fail;
  $1 = made;
}
%typemap(freearg) const ps_value * {
  ps_value_free(made$argnum);
}
%typemap(out) ps_result * {
  $result = new_reply($1);
}
/* Text: None is not given where that has a meaning, and refused elsewhere, as anything but a str is. */
%typemap(in) const char * {
  if (!borrow_text($input, "", "$1_name", (const char **)&$1)) SWIG_fail;
}
%typemap(in) const char *api_key, const char *header {
  if ($input != Py_None && !borrow_text($input, "", "$1_name", (const char **)&$1)) SWIG_fail;
}
%typemap(freearg) const char * ""
%typemap(in) (const char *body, size_t length) (Py_ssize_t size = 0) {
  if (!borrow_bytes($input, (const char **)&$1, &size)) SWIG_fail;
  $2 = (size_t)size;
}

/* Bytes, and where a transfer stands, are returned. */
%typemap(in, numinputs=0) size_t *length (size_t n) "$1 = &n;"
%typemap(out) const char *ps_exchange_take ""
%typemap(argout) size_t *length {
  $result = PyBytes_FromStringAndSize(result, (Py_ssize_t)*$1);
}
%typemap(in, numinputs=0) int64_t * (int64_t n) "$1 = &n;"
%typemap(argout) (int64_t *done, int64_t *total) {
  Py_XDECREF($result);
  $result = Py_BuildValue("(LL)", (long long)*$1, (long long)*$2);
}

/* A meter owns the exchange that it lends, and gives up the events of a batch. */
%typemap(out) ps_exchange *ps_meter_exchange {
  $result = lend_exchange($1, args);
}
%typemap(out) bool ps_meter_feed {
  $result = $1 ? Py_NewRef(Py_None) : raise_result(ps_meter_result(arg1));
}
%typemap(out) ps_value *ps_meter_skip {
  $result = *ps_value_error($1) ? PyErr_NoMemory() : make_plain($1, NULL, false);
  ps_value_free($1);
}
%typemap(newfree) char * "ps_free($1);"
%newobject ps_plain_client_misuse;

/* Freed by their capsules, read through Reply, begun by call.c. */
%ignore ps_client_free;
%ignore ps_exchange_free;
%ignore ps_result_free;
%ignore ps_value_free;
%ignore ps_meter_free;
%ignore ps_meter_result;
%ignore ps_value_parse;
%ignore ps_plain_call;
%ignore ps_plain_request;
%ignore ps_plain_json;
%ignore ps_str;
%ignore ps_int;
%ignore ps_result_ok;
%ignore ps_data;
%ignore ps_error_message;

%init %{
  if (!add_binding(m)) return -1;
%}
