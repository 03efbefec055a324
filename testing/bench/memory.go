package main

import (
	"context"
	"fmt"
)

// goalUsers is the number of users of the goal for memory.
const goalUsers = 100_000

// memory is the resident memory of a process of all roles, some time after clients
// have created the users.
func memory(ctx context.Context, b *bench) ([]row, error) {
	var resident []float64
	for range b.runs {
		err := inFolder(func(dir string) error {
			bytes, err := fillUsers(ctx, dir, b, b.quiet)
			resident = append(resident, bytes)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	got, wanted := median(resident), goal{}
	if b.users == goalUsers {
		wanted = atMost(160, 220)
	}
	return []row{{fmt.Sprintf("memory of all roles, %d users, after %s of quiet", b.users, b.quiet), megabytes(got), "", got / 1e6, wanted}}, nil
}
