package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/web"
)

// The states of a job.
const (
	jobRunning   = "running"
	jobDone      = "done"
	jobFailed    = "failed"
	jobCancelled = "cancelled"
)

const (
	// maxJobs is the limit of jobs under way, and keptJobs of jobs that have ended.
	maxJobs, keptJobs = 3, 20
	// jobsEvery is the shortest time between two events about jobs.
	jobsEvery = 200 * time.Millisecond
)

// Job is an action in the background, such as a rebuild.
type Job struct {
	ID int `json:"id"`
	// Kind is the action, and ReadModels the read models that the action works on.
	Kind       string   `json:"kind"`
	ReadModels []string `json:"readModels"`
	State      string   `json:"state"`
	Began      string   `json:"began"`
	Ended      string   `json:"ended,omitempty"`
	// Done and All count the records to fold, 0 before the first record.
	Done int64 `json:"done"`
	All  int64 `json:"all"`
	// Result is the result of a job that is done, and Detail the reason of a job
	// that has failed.
	Result any    `json:"result,omitempty"`
	Detail string `json:"detail,omitempty"`

	cancel context.CancelFunc
}

// Jobs are the actions in the background of one process. The list is lost at the
// end of the process.
type Jobs struct {
	mu      sync.Mutex
	all     []*Job // oldest first
	last    int
	changed chan struct{} // closed at the next change
	running sync.WaitGroup
	closed  bool
}

// NewJobs returns a list without jobs.
func NewJobs() *Jobs { return &Jobs{changed: make(chan struct{})} }

// Close cancels all jobs, and waits for their end.
func (j *Jobs) Close() {
	j.mu.Lock()
	j.closed = true
	for _, job := range j.all {
		job.cancel()
	}
	j.mu.Unlock()
	j.running.Wait()
}

// start starts an action. do gets a function for the progress.
func (j *Jobs) start(kind string, models []string, do func(ctx context.Context, progress func(done, all int64)) (any, error)) (Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return Job{}, web.Unavailable("the process is stopping")
	}
	underWay := 0
	for _, job := range j.all {
		if job.State == jobRunning {
			underWay++
		}
	}
	if underWay == maxJobs {
		return Job{}, &web.Problem{Slug: "too-many-jobs", Status: http.StatusConflict, Title: "Too many jobs", Detail: "other jobs run; wait for the end of one, or cancel one"}
	}
	ctx, cancel := context.WithCancel(context.Background())
	j.last++
	job := &Job{ID: j.last, Kind: kind, ReadModels: models, State: jobRunning, Began: eventlog.FormatTime(time.Now()), cancel: cancel}
	j.all = append(j.all, job)
	if len(j.all) > keptJobs+maxJobs {
		i := slices.IndexFunc(j.all, func(job *Job) bool { return job.State != jobRunning })
		j.all = slices.Delete(j.all, i, i+1)
	}
	j.change()
	j.running.Go(func() {
		defer cancel()
		result, err := do(ctx, func(done, all int64) {
			j.mu.Lock()
			defer j.mu.Unlock()
			job.Done, job.All = done, all
			j.change()
		})
		j.mu.Lock()
		defer j.mu.Unlock()
		job.Ended = eventlog.FormatTime(time.Now())
		job.Result = result
		switch {
		case err == nil:
			job.State = jobDone
		case ctx.Err() != nil && errors.Is(err, context.Canceled):
			job.State = jobCancelled
		default:
			job.State, job.Detail = jobFailed, err.Error()
		}
		j.change()
	})
	return *job, nil
}

// change wakes the followers. The caller holds the lock.
func (j *Jobs) change() {
	close(j.changed)
	j.changed = make(chan struct{})
}

// list returns the jobs, newest first, and a channel that is closed at the next
// change.
func (j *Jobs) list() ([]Job, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	jobs := make([]Job, 0, len(j.all))
	for _, job := range slices.Backward(j.all) {
		jobs = append(jobs, *job)
	}
	return jobs, j.changed
}

// routes adds the routes of jobs.
func (j *Jobs) routes(api *API) {
	api.Get("/api/jobs", withoutQuery(func(w http.ResponseWriter, _ *http.Request) error {
		jobs, _ := j.list()
		web.WriteJSON(w, http.StatusOK, map[string]any{"jobs": jobs})
		return nil
	}))
	api.Get("/api/jobs/{job}", withoutQuery(func(w http.ResponseWriter, r *http.Request) error {
		job, err := j.find(r)
		if err == nil {
			web.WriteJSON(w, http.StatusOK, job)
		}
		return err
	}))
	api.Post("/api/jobs/{job}/cancel", func(w http.ResponseWriter, r *http.Request) error {
		if err := ReadJSON(w, r, new(struct{})); err != nil {
			return err
		}
		job, err := j.find(r)
		if err != nil {
			return err
		}
		job.cancel()
		web.WriteJSON(w, http.StatusAccepted, job)
		return nil
	})
}

func (j *Jobs) find(r *http.Request) (Job, error) {
	id, err := strconv.Atoi(mux.Vars(r)["job"])
	jobs, _ := j.list()
	for _, job := range jobs {
		if err == nil && job.ID == id {
			return job, nil
		}
	}
	return Job{}, notFound("there is no such job, or the job is forgotten")
}

// follow sends an event jobs at first, and after each change; and calls tick
// each second.
func (j *Jobs) follow(events *EventStream, tick func() error) error {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		jobs, changed := j.list()
		if err := events.Send("jobs", jobs); err != nil {
			return err
		}
		pause := time.After(jobsEvery)
		for waiting := true; waiting; {
			select {
			case <-changed:
				waiting = false
			case <-every.C:
				if err := tick(); err != nil {
					return err
				}
			case <-events.Context().Done():
				return nil
			}
		}
		select {
		case <-pause:
		case <-events.Context().Done():
			return nil
		}
	}
}
