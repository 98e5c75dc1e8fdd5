---@alias pinstripe.null lightuserdata # JSON's null, `pinstripe.null`: true in a condition
---@alias pinstripe.unset ""|pinstripe.null # unsets a value
---@alias pinstripe.upload { path: string }|{ content: string, filename?: string, type?: string }

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
---@param method "GET"|"POST"|"DELETE"
---@param path string
---@param params? table
---@param options? pinstripe.call_options
---@return any result
---@return pinstripe.response|pinstripe.error response
function client:request(method, path, params, options) end

---@class pinstripe
---@field version string
---@field null pinstripe.null
---@field json { decode: (fun(text: string): any, string?), encode: (fun(value: any): string) }
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
