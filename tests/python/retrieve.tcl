# One object through the neutral interface: tclsh retrieve.tcl MODULE BASE ID
lassign $argv module base id
load $module Pinstripe
set options [value_parse [format {{"api_base": "%s"}} $base] [string length [format {{"api_base": "%s"}} $base]]]
set ids [value_parse [format {["%s"]} $id] [string length [format {["%s"]} $id]]]
set client [plain_client sk_test_tcl $options "tcl [info patchlevel]" 0]
set call [plain_call $client charges.retrieve $ids NULL NULL]
while {![plain_run $call 100]} {}
set result [exchange_result $call]
if {![result_ok $result]} {
  puts [error_message $result]
  exit 1
}
puts "[str [data $result] id] [int [data $result] amount]"
result_free $result
exchange_free $call
client_free $client
value_free $ids
value_free $options
