package main

import "context"

// onePartition compares the rates with a single partition and with twelve. A
// partition processor decides many commands at a time.
func onePartition(ctx context.Context, b *bench) ([]row, error) {
	made, err := compare(ctx, b, millrace("kafka.partitions=1"), millrace("kafka.partitions=12"))
	if err != nil {
		return nil, err
	}
	one, twelve := made[0].rate(), made[1].rate()
	return []row{{"POST to visible, one partition", perSecond(one), named("12 partitions", perSecond(twelve)), one / twelve, atLeast(0.8, 0.8)}}, nil
}
