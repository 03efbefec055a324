package console

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/millrace/millrace/router/web"
)

// ended waits for the end of a job.
func ended(t *testing.T, j *Jobs, id int) Job {
	t.Helper()
	for {
		jobs, changed := j.list()
		for _, job := range jobs {
			if job.ID == id && job.State != jobRunning {
				return job
			}
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatal("the job does not end")
		}
	}
}

// A job has progress, and ends done, failed or cancelled.
func TestJobsEnd(t *testing.T) {
	t.Parallel()
	j := NewJobs()
	defer j.Close()
	wait := make(chan error)
	for _, test := range []struct {
		do    func(ctx context.Context, progress func(done, all int64)) (any, error)
		end   func(Job)
		state string
	}{
		{func(_ context.Context, progress func(done, all int64)) (any, error) {
			progress(3, 7)
			return "rows", nil
		}, func(Job) {}, "done"},
		{func(context.Context, func(done, all int64)) (any, error) { return nil, <-wait }, func(Job) { wait <- errors.New("no room") }, "failed"},
		{func(ctx context.Context, _ func(done, all int64)) (any, error) {
			<-ctx.Done()
			return nil, fmt.Errorf("stopped: %w", ctx.Err())
		}, func(job Job) { job.cancel() }, "cancelled"},
	} {
		job, err := j.start("rebuild", []string{"users"}, test.do)
		if err != nil || job.State != jobRunning {
			t.Fatalf("%+v, %v", job, err)
		}
		test.end(job)
		got := ended(t, j, job.ID)
		if got.State != test.state || got.Ended == "" {
			t.Errorf("%+v, want %s", got, test.state)
		}
		switch test.state {
		case "done":
			if got.Done != 3 || got.All != 7 || got.Result != "rows" {
				t.Errorf("%+v", got)
			}
		case "failed":
			if got.Detail != "no room" {
				t.Errorf("%+v", got)
			}
		}
	}
}

// Three jobs run at a time; old jobs are forgotten, and running ones are not; a
// stop cancels all, and takes no more.
func TestJobsHaveLimits(t *testing.T) {
	t.Parallel()
	j := NewJobs()
	long := func(ctx context.Context, _ func(done, all int64)) (any, error) { <-ctx.Done(); return nil, ctx.Err() }
	quick := func(context.Context, func(done, all int64)) (any, error) { return nil, nil }
	first, err := j.start("rebuild", nil, long)
	if err != nil {
		t.Fatal(err)
	}
	for range keptJobs + 2*maxJobs {
		job, err := j.start("drop", nil, quick)
		if err != nil {
			t.Fatal(err)
		}
		ended(t, j, job.ID)
	}
	jobs, _ := j.list()
	if last := jobs[len(jobs)-1]; len(jobs) != keptJobs+maxJobs || last.ID != first.ID || last.State != jobRunning {
		t.Errorf("%d jobs, the last is %+v", len(jobs), last)
	}
	for range maxJobs - 1 {
		if _, err := j.start("rebuild", nil, long); err != nil {
			t.Fatal(err)
		}
	}
	var problem *web.Problem
	if _, err := j.start("rebuild", nil, long); !errors.As(err, &problem) || problem.Slug != "too-many-jobs" || problem.Status != 409 {
		t.Errorf("one job too many: %v", err)
	}
	j.Close()
	if got := ended(t, j, first.ID); got.State != jobCancelled {
		t.Errorf("after the stop: %+v", got)
	}
	if _, err := j.start("rebuild", nil, quick); !errors.As(err, &problem) || problem.Status != 503 {
		t.Errorf("after the stop: %v", err)
	}
}
