/* How Python sees the handles: each is a capsule that frees what it holds; a value is any Python value that read.c can
 * turn into one. */
%{
#include "binding.h"
%}

/* Only a call that waits lets other threads run. */
%nothread;
%thread ps_plain_run;
%thread ps_plain_carry;

%typemap(in) ps_client *, ps_exchange * {
  $1 = from_capsule($input, "$1_basetype");
  if (!$1) SWIG_fail;
}
%typemap(out) ps_client *, ps_exchange * {
  $result = to_capsule($1, "$1_basetype");
}
%typemap(in) const ps_value * (ps_value *made = NULL) {
  if (!borrow_value($input, &$1, &made)) SWIG_fail;
}
%typemap(freearg) const ps_value * {
  ps_value_free(made$argnum);
}
%typemap(out) ps_result * {
  $result = new_reply($1);
}
%typemap(in) (const char *body, size_t length) (Py_ssize_t size = 0) {
  if (!borrow_bytes($input, (const char **)&$1, &size)) SWIG_fail;
  $2 = (size_t)size;
}
%typemap(newfree) char * "ps_free($1);"
%newobject ps_plain_client_misuse;

/* Freed by their capsules, and read through Reply. */
%ignore ps_client_free;
%ignore ps_exchange_free;
%ignore ps_result_free;
%ignore ps_value_free;
%ignore ps_value_parse;
%ignore ps_plain_json;
%ignore ps_str;
%ignore ps_int;
%ignore ps_result_ok;
%ignore ps_data;
%ignore ps_error_message;

%init %{
  if (!add_binding(m)) return -1;
%}
