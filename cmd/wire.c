#include "cmd/wire.h"

#include "core/data/remote.h"
#include "remotes/registry.h"

static const struct remote_openers openers = { registry_open, registry_open_url };

void wire_remotes(void)
{
	remote_set_openers(&openers);
}
