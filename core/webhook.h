/* Webhooks: signatures and events; all of it is public, in section 9 of pinstripe.h. Who sends deliveries signs them with
 *
 *   char *header = ps_webhook_sign(body, length, "whsec_...", timestamp);     "t=...,v1=...", freed with ps_free */
#ifndef PS_WEBHOOK_H
#define PS_WEBHOOK_H

#include "pinstripe.h"

#endif
