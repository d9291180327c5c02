/* Every op against the machine: its time in one run beside what the machine's peaks allow.
 *
 *   bench_ops [--device D] [--threads N] [--seconds S] [--only TEXT] [--deepbench FOLDER] [--limit GFLOP]
 *             [--against D2 | --pair OTHER_BUILD/bench_ops] [--json FILE] [--peaks [--dtype bf16]]
 *
 * --device: any device that Tercet knows (cpu). On the CPU the peaks are measured in this run: flops by a loop of fused multiply-adds
 * and by a 1024³ product (the better counts), bytes by STREAM's triad over 384 MiB of memory and, for ops of up to 32 MiB of traffic,
 * over 12 MiB of cache; on another measured device by a large product and a sum of large vectors. A modelled device has its chip's own
 * peaks, and its times are modelled: they carry a ~. An op's roofline is max(flops / peak, bytes / peak) with its analytic cost; the
 * share is the roofline's time over the op's best time within S seconds (0.1) and at least 3 runs.
 * --only: rows whose op holds the text.
 * --deepbench: the training shapes of gemm_training.csv, conv_training.csv and rnn_training.csv in the folder; of these only those of
 * at most --limit GFLOP (4) and 64 Mi elements per operand, so that the table takes minutes; the others are counted, and so are the
 * cells that no op computes (vanilla).
 * --against, --pair: each row on a second device, or by another build's bench_ops on the same device, in turn (A B, B A, …), for 2·S
 * seconds and at least 7 pairs: the ratio of the other's time over this one's, its median and the exact interval between order
 * statistics that holds it with 95 %. A second device that is absent, and an op that a device refuses, are rows with the reason.
 * --peaks: only the peaks, as JSON; --dtype bf16: of flops a measured device's product of bf16. --serve: answers another bench_ops (perf/bench/side.h). */
#include "perf/bench/bench.h"

int main(int argc, char **argv) { return bench_main(argc, (const char *const *)argv, stdin, stdout, stderr); }
