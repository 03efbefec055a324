package userstats

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/web"
)

// stats are the statistics as clients see them, members in this order.
type stats struct {
	// Total is Active plus Inactive, the users in GET /users.
	Total    int64 `json:"total"`
	Active   int64 `json:"active"`
	Inactive int64 `json:"inactive"`
	Deleted  int64 `json:"deleted"`
	// SignUps are the days on which users were created, in order. The sum of all
	// days is Total plus Deleted.
	SignUps []day `json:"signUps"`
	// Stale is set if the read model stopped at an event of some user.
	Stale bool `json:"stale,omitempty"`
}

// day is the number of users who were created on a day.
type day struct {
	Day   string `json:"day"` // in UTC, as 2026-01-02
	Users int64  `json:"users"`
}

type queries struct{ *query.Reader }

//go:embed openapi.yaml
var openAPI []byte

// Model is the read model, with its query.
var Model = query.Model{Projection: Projection, Routes: Routes, OpenAPI: openAPI}

// Routes adds GET /stats/users.
func Routes(router *mux.Router, reader *query.Reader) {
	q := queries{reader}
	q.Get(router, "/stats/users", q.stats)
}

// stats answers GET /stats/users.
func (q queries) stats(w http.ResponseWriter, r *http.Request) error {
	if _, err := query.Query(r); err != nil {
		return err
	}
	var s stats
	var generation int
	err := q.Read(w, r, Projection, func(ctx context.Context, view query.View) (err error) {
		generation = view.Generation()
		s, err = read(ctx, view)
		return err
	})
	if err != nil {
		return err
	}
	// There is no version: the ETag is a digest of the answer.
	body, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode stats: %w", err)
	}
	digest := sha256.Sum256(body)
	if !query.NotModified(w, r, query.ETag(generation, hex.EncodeToString(digest[:8]))) {
		web.WriteJSON(w, http.StatusOK, s)
	}
	return nil
}

func read(ctx context.Context, view query.View) (stats, error) {
	s := stats{SignUps: []day{}} // an empty list is [], and not null
	err := counts(ctx, view, "SELECT state, users FROM {counts}", func(state string, users int64) {
		switch state {
		case active:
			s.Active = users
		case inactive:
			s.Inactive = users
		case deleted:
			s.Deleted = users
		}
	})
	if err != nil {
		return s, err
	}
	s.Total = s.Active + s.Inactive
	err = counts(ctx, view, "SELECT day, users FROM {signups} ORDER BY day", func(on string, users int64) {
		s.SignUps = append(s.SignUps, day{on, users})
	})
	if err != nil {
		return s, err
	}
	err = view.EachParked(ctx, func(string, query.StreamHead) error { return errOneIsEnough })
	if s.Stale = errors.Is(err, errOneIsEnough); s.Stale {
		err = nil
	}
	return s, err
}

var errOneIsEnough = errors.New("one is enough")

// counts reads keys and their counts.
func counts(ctx context.Context, view query.View, query string, each func(key string, users int64)) error {
	rows, err := view.Query(ctx, query)
	if err != nil {
		return fmt.Errorf("read counts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		var users int64
		if err := rows.Scan(&key, &users); err != nil {
			return fmt.Errorf("read a count: %w", err)
		}
		each(key, users)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read counts: %w", err)
	}
	return nil
}
