--- The currencies that amounts may be in, the digits that they have after the point, and the least that can be charged.

local currencies = {}

local codes = [[
aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd btn bwp byn bzd cad cdf chf
clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils
inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mro mur mvr
mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd
shp sle sll sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx usd usdc uyu uzs vnd vuv wst xaf xcd xcg xof
xpf yer zar zmw
]]

local known = {}
for code in codes:gmatch "%l+" do known[code] = 2 end
for code in ("bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf"):gmatch "%l+" do known[code] = 0 end
for code in ("bhd jod kwd omr tnd"):gmatch "%l+" do known[code] = 3 end

local least = {
  usd = 50, aed = 200, aud = 50, bgn = 100, brl = 50, cad = 50, chf = 50, czk = 1500, dkk = 250, eur = 50, gbp = 30,
  hkd = 400, huf = 17500, inr = 50, jpy = 50, mxn = 1000, myr = 200, nok = 300, nzd = 50, pln = 200, ron = 200,
  sek = 300, sgd = 50, thb = 1000,
}

--- The digits after the point of a currency in lower case; nil if it is none.
function currencies.digits(code) return known[code] end

--- The least amount of a charge, in the currency's smallest unit.
function currencies.least(code) return least[code] or 1 end

return currencies
