#include "cmd/wire.h"

#include "core/data/remote.h"
#include "remotes/registry.h"

void wire_remotes(void)
{
	remote_set_opener(registry_open);
}
