package console

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/operations"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/web"
)

// Models is the view of the read models.
type Models struct {
	Projections []*projection.Projection
	Jobs        *Jobs
	// With calls do with the read models of the service, in a session of its own
	// with the log. progress, if not nil, hears of the folded records.
	With func(ctx context.Context, progress func(done, all int64), do func(*operations.Models) error) error
	// Status returns the state of each read model that the store can tell about.
	Status func(context.Context) []readmodel.Status
}

// Routes implements the Part of a [View].
func (m *Models) Routes(api *API) {
	api.Get("/api/read-models", withoutQuery(m.list))
	api.Events("/api/read-models/events", m.events)
	api.Get("/api/read-models/{model}/parked", m.parked)
	api.Post("/api/read-models/{model}/rebuild", m.rebuild)
	api.Post("/api/read-models/{model}/swap", m.swap)
	api.Post("/api/read-models/{model}/rollback", m.rollback)
	api.Post("/api/read-models/{model}/drop", m.drop)
	api.Post("/api/read-models/{model}/retry", m.retry)
	api.Post("/api/verify", m.verify)
	m.Jobs.routes(api)
}

// generation is a generation in an answer.
type generation struct {
	Number     int    `json:"generation"`
	State      string `json:"state"`
	Since      string `json:"since"`
	Definition string `json:"definition"`
	Rows       int64  `json:"rows"`
	Parked     int64  `json:"parked"`
	// Lag is the number of records to fold, of all partitions and of each.
	Lag        int64        `json:"lag"`
	Partitions []checkpoint `json:"partitions"`
}

type checkpoint struct {
	Partition  int32 `json:"partition"`
	Checkpoint int64 `json:"checkpoint"`
	Lag        int64 `json:"lag"`
}

// list answers with the generations of all read models.
func (m *Models) list(w http.ResponseWriter, r *http.Request) error {
	type model struct {
		Name        string       `json:"name"`
		Generations []generation `json:"generations"`
	}
	all := []model{}
	err := m.With(r.Context(), nil, func(models *operations.Models) error {
		ends, err := models.Ends(r.Context())
		if err != nil {
			return err
		}
		for _, p := range m.Projections {
			generations, err := models.Store.Generations(r.Context(), p)
			if err != nil {
				return err
			}
			of := model{p.Name, []generation{}}
			for _, g := range generations {
				of.Generations = append(of.Generations, generationOf(&g, ends))
			}
			all = append(all, of)
		}
		return nil
	})
	if err != nil {
		return problemOf(err)
	}
	web.WriteJSON(w, http.StatusOK, map[string]any{"readModels": all})
	return nil
}

func generationOf(g *readmodel.Generation, ends []int64) generation {
	out := generation{
		Number: g.Number, State: string(g.State), Since: eventlog.FormatTime(g.Since), Definition: g.Definition, Rows: g.Rows, Parked: g.Parked,
		Lag: max(0, operations.Behind(*g, ends)), Partitions: []checkpoint{},
	}
	for _, c := range g.Checkpoints {
		at := checkpoint{Partition: c.Partition, Checkpoint: c.Next}
		if int(c.Partition) < len(ends) {
			at.Lag = max(0, ends[c.Partition]-c.Next)
		}
		out.Partitions = append(out.Partitions, at)
	}
	return out
}

// events sends the jobs at each change, and the state of the read models each
// second.
func (m *Models) events(r *http.Request) (func(*EventStream) error, error) {
	if _, err := queryOf(r); err != nil {
		return nil, err
	}
	return func(events *EventStream) error {
		status := func() error { return events.Send("status", m.Status(events.Context())) }
		if err := status(); err != nil {
			return err
		}
		return m.Jobs.follow(events, status)
	}, nil
}

// model is the read model in the path of a request.
func (m *Models) model(r *http.Request) (*projection.Projection, error) {
	name := mux.Vars(r)["model"]
	i := slices.IndexFunc(m.Projections, func(p *projection.Projection) bool { return p.Name == name })
	if i < 0 {
		return nil, notFound("there is no such read model: they are " + strings.Join(m.names(), ", "))
	}
	return m.Projections[i], nil
}

func (m *Models) names() (names []string) {
	for _, p := range m.Projections {
		names = append(names, p.Name)
	}
	return names
}

// parkedInModel is a stream that is parked in a read model.
type parkedInModel struct {
	Stream    string `json:"stream"`
	Version   uint64 `json:"version"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Reason    string `json:"reason"`
	// Applies says that this binary can apply the failed record. Only a proof tells.
	Applies bool `json:"applies,omitempty"`
}

func parkedOf(s *readmodel.ParkedStream) parkedInModel {
	return parkedInModel{s.Stream, s.Version, s.Partition, s.ParkedOffset, s.Parked, false}
}

// parked answers with a page of the streams that are parked in a read model.
func (m *Models) parked(w http.ResponseWriter, r *http.Request) error {
	p, err := m.model(r)
	if err != nil {
		return err
	}
	query, limit, err := pageOf(r)
	if err != nil {
		return err
	}
	page := struct {
		Streams []parkedInModel `json:"streams"`
		Total   int             `json:"total"`
		Next    string          `json:"next,omitempty"`
	}{Streams: []parkedInModel{}}
	err = m.With(r.Context(), nil, func(models *operations.Models) error {
		all, err := models.Parked(r.Context(), p)
		page.Total = len(all)
		for i := range all {
			switch {
			case all[i].Stream <= query.Get("after"):
			case len(page.Streams) < int(limit):
				page.Streams = append(page.Streams, parkedOf(&all[i]))
			case page.Next == "" && limit > 0:
				page.Next = page.Streams[limit-1].Stream
			}
		}
		return err
	})
	if err != nil {
		return problemOf(err)
	}
	web.WriteJSON(w, http.StatusOK, page)
	return nil
}

// start starts a job on a read model, and answers with the job.
func (m *Models) start(w http.ResponseWriter, r *http.Request, kind string, body any,
	do func(context.Context, *operations.Models, *projection.Projection) (any, error),
) error {
	p, err := m.model(r)
	if err != nil {
		return err
	}
	if err := ReadJSON(w, r, body); err != nil {
		return err
	}
	job, err := m.Jobs.start(kind, []string{p.Name}, func(ctx context.Context, progress func(done, all int64)) (result any, err error) {
		err = m.With(ctx, progress, func(models *operations.Models) (err error) {
			result, err = do(ctx, models, p)
			return err
		})
		return result, err
	})
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusAccepted, job)
	return nil
}

func (m *Models) rebuild(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		NoSwap bool `json:"noSwap"`
	}
	return m.start(w, r, "rebuild", &body, func(ctx context.Context, models *operations.Models, p *projection.Projection) (any, error) {
		done, err := models.Rebuild(ctx, p, !body.NoSwap)
		result := map[string]any{"generation": done.Generation, "rows": done.Rows, "parked": done.Parked}
		if done.Swapped.Live > 0 {
			result["live"], result["kept"] = done.Swapped.Live, done.Swapped.Kept
		}
		if len(done.Dropped) > 0 {
			result["dropped"] = done.Dropped
		}
		if !done.Filled {
			return nil, err
		}
		return result, err
	})
}

// ofGeneration is the body of a request about a generation.
type ofGeneration struct {
	Generation int `json:"generation"`
}

func (m *Models) swap(w http.ResponseWriter, r *http.Request) error {
	var body ofGeneration
	return m.start(w, r, "swap", &body, func(ctx context.Context, models *operations.Models, p *projection.Projection) (any, error) {
		return swapped(models.Swap(ctx, p, body.Generation))
	})
}

func (m *Models) rollback(w http.ResponseWriter, r *http.Request) error {
	return m.start(w, r, "rollback", new(struct{}), func(ctx context.Context, models *operations.Models, p *projection.Projection) (any, error) {
		return swapped(models.Rollback(ctx, p))
	})
}

func swapped(s operations.Swapped, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return map[string]any{"live": s.Live, "kept": s.Kept}, nil
}

func (m *Models) drop(w http.ResponseWriter, r *http.Request) error {
	var body ofGeneration
	return m.start(w, r, "drop", &body, func(ctx context.Context, models *operations.Models, p *projection.Projection) (any, error) {
		if err := models.Drop(ctx, p, body.Generation); err != nil {
			return nil, err
		}
		return map[string]any{"generation": body.Generation}, nil
	})
}

// retry applies the events of parked streams again: of one stream, or of all.
func (m *Models) retry(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Stream string `json:"stream"`
	}
	return m.start(w, r, "retry", &body, func(ctx context.Context, models *operations.Models, p *projection.Projection) (any, error) {
		now, err := models.Retry(ctx, p, body.Stream)
		again := []parkedInModel{}
		for i := range now {
			if now[i].Parked != "" {
				again = append(again, parkedOf(&now[i]))
			}
		}
		result := map[string]any{"streams": len(now), "again": len(again), "first": again[:min(len(again), defaultPage)]}
		if err == nil && len(again) > 0 {
			err = fmt.Errorf("%d of %d streams are parked again", len(again), len(now))
		}
		return result, err
	})
}
