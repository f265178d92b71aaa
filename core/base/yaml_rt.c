#include "core/base/yaml_rt.h"

void yaml_rt_free(struct yaml_rt *rt)
{
	free(rt);
}
