package main

import (
	"context"
	"fmt"
)

// onePartition compares the rates with a single partition and with twelve. A
// partition processor decides many commands at a time.
func onePartition(ctx context.Context, b *bench) ([]row, error) {
	made, err := compare(ctx, b, millrace("kafka.partitions=1"), millrace("kafka.partitions=12"))
	if err != nil {
		return nil, err
	}
	one, twelve := median(made[0].perSecond), median(made[1].perSecond)
	return []row{{"one partition", fmt.Sprintf("%.0f/s", one), fmt.Sprintf("12 partitions %.0f/s", twelve), one / twelve, "≥ 0.8"}}, nil
}
