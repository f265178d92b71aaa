#include "cmd/wire.h"

#include "core/data/import.h"
#include "core/data/remote.h"
#include "core/data/transfer.h"
#include "remotes/registry.h"

static const struct remote_openers openers = { registry_open, registry_open_url };

void wire_remotes(void)
{
	remote_set_openers(&openers);
	transfer_set_import(import_fetch);
}
