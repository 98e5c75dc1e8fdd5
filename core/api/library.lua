---@alias pinstripe.null lightuserdata # JSON's null, `pinstripe.null`: true in a condition
---@alias pinstripe.unset ""|pinstripe.null # unsets a value
---@alias pinstripe.upload { path: string }|{ content: string, filename?: string, type?: string }|pinstripe.source|file*

---A file that is read while it is sent.
---@class pinstripe.source
---@field reader (fun(): string?, string?)|file* # the next bytes; nil at the end; nil and why not
---@field rewind? fun(): any, any # back to the first byte, true; without it nothing is sent twice
---@field length? integer
---@field filename? string
---@field type? string

---@class pinstripe.response
---@field status integer
---@field headers table<string, string>
---@field request_id? string
---@field attempts integer
---@field idempotency_key? string # of a write

---@class pinstripe.error
---@field kind string # "card", "timeout", ...
---@field outcome "not_sent"|"rejected"|"unknown" # whether money may have moved
---@field status? integer
---@field headers table<string, string>
---@field request_id? string
---@field attempts integer
---@field idempotency_key? string

---What happened to a call, for a log: tostring gives its line.
---@class pinstripe.call_event
---@field kind "request"|"response"|"retry"|"notice"
---@field level "error"|"warn"|"info"|"debug"
---@field operation? string # its id; absent for `request` of an unknown route
---@field method string
---@field path string
---@field attempt integer
---@field status? integer # absent without a reply
---@field duration number
---@field request_id? string
---@field message? string
---@field line string

---@class pinstripe.request
---@field method string
---@field url string
---@field headers table<string, string>
---@field body? string
---@field reader? fun(): string? # in place of a body that is large: its next piece
---@field length? integer # of the body
---@field timeout number
---@field connect_timeout number

---Carries requests in place of libcurl; both may yield.
---@class pinstripe.transport
---@field send fun(request: pinstripe.request): table?, string?, string?
---@field sleep? fun(seconds: number)

---@class pinstripe.client_options
---@field transport? pinstripe.transport|fun(request: pinstripe.request): table?, string?, string?

---@class pinstripe.call_options
---@field progress? fun(done: integer, total?: integer) # of an upload or download
---@field write_to? fun(bytes: string): any, any # of a download: where its bytes go; nil and why not
---@field fields? string[] # build only these, as "customer.email"
---@field cursor? string # of `each`: go on where this stood

---@class pinstripe.iterator
---@overload fun(): any # for `for`: raises the error of a page that failed
local iterator = {}
---The next object; nil at the end; nil and an error, after which this may be called again.
---@return any object
---@return pinstripe.error? err
function iterator:next() end
---Where it stands, without the key, to go on later.
---@return string cursor
function iterator:cursor() end
function iterator:close() end

---@class pinstripe.page
local page = {}
---@return pinstripe.iterator iterator
function page:each() end
---The next page, or nil.
---@return self? page
---@return pinstripe.response|pinstripe.error|nil response
function page:fetch_next() end

---@class pinstripe.v1

---@class pinstripe.client: pinstripe.v1
---@field v1 pinstripe.v1
local client = {}
---What the table does not know.
---@param method string its name, as "GET"
---@param path string
---@param params? table
---@param options? pinstripe.call_options
---@return any result
---@return pinstripe.response|pinstripe.error response
function client:request(method, path, params, options) end
---The bytes at the `url` of a file, a file link or a report's result; true where they went elsewhere.
---@param url string
---@param options? pinstripe.call_options
---@return (string|true)? bytes
---@return pinstripe.response|pinstripe.error response
function client:download(url, options) end
---The event that a thin event tells of, with its data.
---@param notification table
---@return table? event
---@return pinstripe.response|pinstripe.error response
function client:fetch_event(notification) end
---The object that a thin event is about.
---@param notification table
---@return table? object
---@return pinstripe.response|pinstripe.error response
function client:fetch_related_object(notification) end
---A handler of thin events; `fallback` gets those of types without a function.
---@param secrets string|string[]|nil
---@param fallback fun(notification: table, client: pinstripe.client, known: boolean)
---@return pinstripe.notification_handler handler
function client:notification_handler(secrets, fallback) end
---@param options? { max_age?: number, max_pending?: integer }
---@return pinstripe.meter_stream stream
function client:meter_stream(options) end

---@class pinstripe.notification_handler
local handler = {}
---@param event_type pinstripe.thin_event_type|string
---@param f fun(notification: table, client: pinstripe.client)
function handler:on(event_type, f) end
---@param f fun(notification: table, client: pinstripe.client): boolean? # false: the event goes to nobody
function handler:pre_handle(f) end
---@return string[] types
function handler:registered_event_types() end
---@param body string
---@param header? string
---@param options? pinstripe.webhook_options
---@return table? notification
---@return pinstripe.error? err
function handler:handle(body, header, options) end
---@param body string
---@return table? notification
---@return pinstripe.error? err
function handler:handle_without_verification(body) end

---@class pinstripe.meter_stream
local stream = {}
---@param event { event_name: string, payload: table<string, string>, identifier?: string, timestamp?: integer|string }
---@return true? queued
---@return pinstripe.error? err
function stream:add(event) end
---@return true? sent
---@return pinstripe.error? err
function stream:flush() end
---@return integer count
---@return number? due # seconds
function stream:pending() end
---@return table[] events # of the batch that failed
function stream:skip() end
---@return true? sent
---@return pinstripe.error? err
function stream:close() end

---@class pinstripe.webhook_options
---@field tolerance? number # seconds; 0: any time
---@field now? number # Unix seconds

---@class pinstripe.webhook
local webhook = {}
---@param body string # the request's own bytes
---@param header? string # Stripe-Signature
---@param secrets string|string[]
---@param options? pinstripe.webhook_options
---@return table? event
---@return pinstripe.error? err
function webhook.construct(body, header, secrets, options) end
---@param body string
---@param header? string
---@param secrets string|string[]
---@param options? pinstripe.webhook_options
---@return table? notification
---@return pinstripe.error? err
function webhook.parse_notification(body, header, secrets, options) end
---@param body string
---@param header? string
---@param secrets string|string[]
---@param options? pinstripe.webhook_options
---@return true? good
---@return pinstripe.error? err
function webhook.verify(body, header, secrets, options) end
---@param body string
---@return table? event
---@return pinstripe.error? err
function webhook.construct_without_verification(body) end
---@param body string
---@return table? notification
---@return pinstripe.error? err
function webhook.parse_notification_without_verification(body) end
---@param body string
---@param secret string
---@param timestamp? integer
---@return string header
function webhook.sign(body, secret, timestamp) end

---An offline stand-in for the API, in this process. What control calls cannot do they raise.
---@class pinstripe.sandbox
local sandbox = {}
---@return string url # "" once it is closed
function sandbox:url() end
---@return string key
function sandbox:key() end
---@param options? pinstripe.client_options
---@return pinstripe.client client
function sandbox:client(options) end
function sandbox:close() end
---Forgets everything.
function sandbox:reset() end
---The state as JSON, written to a file if there is a path.
---@param path? string
---@return string text
function sandbox:snapshot(path) end
---@param path string
function sandbox:restore(path) end
---Runs a fixture file of the official command line, or its content as a table.
---@param fixtures string|table
---@return table replies # by name
function sandbox:seed(fixtures) end
---@param change? { set?: integer, advance?: integer, real?: boolean }
---@return table clock
function sandbox:clock(change) end
---@param rule table # match, count, probability, and what is to happen
---@return table fault
function sandbox:fault(rule) end
---@return table[] faults
function sandbox:faults() end
---@param id? string # default: all
function sandbox:clear_faults(id) end
---@param range false|{ min?: number, max?: number }
function sandbox:latency(range) end
---@param rate? number|false # a second; default 25; false: any number
function sandbox:rate_limit(rate) end
---@param query? table
---@return table[] requests # oldest first
function sandbox:requests(query) end
---@return string secret # signs what webhooks() gives
function sandbox:webhook_secret() end
---@return fun(): string?, string? iterator # body, Stripe-Signature
function sandbox:webhooks() end
---Has flush() call a function with each webhook from now on.
---@param listener fun(body: string, header: string)
---@param enabled_events? string[]
---@return string secret
function sandbox:listen(listener, enabled_events) end
---Delivers all that waits, to endpoints and to listeners, on this thread.
---@param listener? fun(body: string, header: string)
---@return { delivered: integer, failed: integer, listened: integer } counts
function sandbox:flush(listener) end
---@param query? { status?: string, destination?: string, type?: string, event?: string }
---@return table[] deliveries
function sandbox:deliveries(query) end
function sandbox:pause() end
function sandbox:resume() end
---@param match? { destination?: string, type?: string, event?: string }
---@return integer count
function sandbox:duplicate(match) end
---@param match? { destination?: string, type?: string, event?: string }
---@return integer count
function sandbox:reorder(match) end
---@param match? { destination?: string, type?: string, event?: string }
---@return integer count
function sandbox:drop(match) end
---@param event string
---@param destination? string
---@return integer count
function sandbox:resend(event, destination) end
---@return string[] names # of what run() does
function sandbox:helpers() end
---Does what a customer or a bank would.
---@param name string
---@param id string
---@param params? table
---@param options? pinstripe.call_options
---@return table object
function sandbox:run(name, id, params, options) end
---Sets fields of an object, whatever the API would allow.
---@param object string
---@param id string
---@param fields table
---@param event? string
---@param options? pinstripe.call_options
---@return table object
function sandbox:move(object, id, fields, event, options) end

---@class pinstripe
---@field version string
---@field null pinstripe.null
---@field json { decode: (fun(text: string): any, string?), encode: (fun(value: any): string) }
---@field webhook pinstripe.webhook
---@field api table # the services, operations, parameters and objects of the API
local pinstripe = {}
---@param api_key? string # default: STRIPE_API_KEY of the environment
---@param options? pinstripe.client_options
---@overload fun(options: pinstripe.client_options): pinstripe.client
---@return pinstripe.client client
function pinstripe.client(api_key, options) end
---assert, on every Lua, for errors that are tables.
---@generic T
---@param value? T
---@param err? any
---@return T value
function pinstripe.check(value, err) end
---Marks a table of one's own as a list, even if it is empty.
---@generic T: table
---@param t? T
---@return T t
function pinstripe.array(t) end
---Starts a sandbox.
---@param options? { port?: integer, seed?: integer, listen?: string }
---@return pinstripe.sandbox sandbox
function pinstripe.sandbox(options) end
