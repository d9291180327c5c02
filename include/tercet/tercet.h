/* Everything that a training job includes. */
#ifndef TERCET_H
#define TERCET_H

#include <tercet/types.h>
#include <tercet/version.h>
#include <tercet/errors.h>
#include <tercet/system.h>
#include <tercet/device.h>
#include <tercet/graph.h>
#include <tercet/ops.h>
#include <tercet/data.h>
#include <tercet/nn.h>
#include <tercet/train.h>
#include <tercet/callbacks.h>
#include <tercet/job.h>

#endif
