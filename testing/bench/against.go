package main

import (
	"context"
	"fmt"
	"path/filepath"
)

// against compares this build with another build, in turn in one run: throughput
// with all read models, processor time a command, and the time from a POST until
// the command is visible, at 200 commands a second. Without another build there are
// no rows.
func against(ctx context.Context, b *bench) (rows []row, err error) {
	if b.against == "" {
		return nil, nil
	}
	other, err := filepath.Abs(b.against)
	if err != nil {
		return nil, err
	}
	made, err := compare(ctx, b, millrace(), contender{"the other build", func(ctx context.Context, dir string) (*target, error) {
		t, _, err := startBuild(ctx, dir, other)
		return t, err
	}})
	if err != nil {
		return nil, err
	}
	ours, theirs := made[0], made[1]
	rows = append(rows,
		row{
			"POST to visible, all read models", perSecond(median(ours.perSecond)),
			"the other build " + perSecond(median(theirs.perSecond)), median(ours.perSecond) / median(theirs.perSecond), "≥ 0.95",
		},
		row{
			"processor time a command", fmt.Sprintf("%.0f µs", median(ours.micros)),
			fmt.Sprintf("the other build %.0f µs", median(theirs.micros)), median(ours.micros) / median(theirs.micros), "",
		})
	inTurn, err := latencyOfBoth(ctx, other)
	return append(rows, inTurn...), err
}

// againstPerSecond is the rate of commands for the latency of two builds.
const againstPerSecond = 200

func latencyOfBoth(ctx context.Context, other string) (rows []row, err error) {
	own, err := filepath.Abs(filepath.Join("bin", "millrace"))
	if err != nil {
		return nil, err
	}
	var took [2][2][]float64 // by build, p50 and p99, in ms
	err = inFolder(func(first string) error {
		return inFolder(func(second string) error {
			var user [2]int64
			var targets [2]*target
			var urls [2]map[string]string
			for i, dir := range []string{first, second} {
				t, at, err := startBuild(ctx, dir, []string{own, other}[i])
				if err != nil {
					return err
				}
				defer t.stop()
				targets[i], urls[i] = t, at
			}
			for range latencyRuns {
				for i, t := range targets {
					client := newClient(againstPerSecond)
					all, err := openLoop(ctx, againstPerSecond, func(ctx context.Context, n int64) error {
						return postAndRead(ctx, client, t.url, urls[i]["queries"], user[i]+n)
					})
					client.CloseIdleConnections()
					if err != nil {
						return err
					}
					user[i] += int64(len(all))
					took[i][0] = append(took[i][0], quantile(all, 0.5))
					took[i][1] = append(took[i][1], quantile(all, 0.99))
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	for q, name := range []string{"p50", "p99"} {
		ours, theirs := median(took[0][q]), median(took[1][q])
		want := "≤ 1.1"
		if q == 1 {
			want = ""
		}
		rows = append(rows, row{
			fmt.Sprintf("POST to visible at %d/s, %s", againstPerSecond, name), fmt.Sprintf("%.1f ms", ours),
			fmt.Sprintf("the other build %.1f ms", theirs), ours / theirs, want,
		})
	}
	return rows, nil
}
