package console

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/operations"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/web"
)

// maxDifferences is the largest number of differences, and of parked streams, of
// a proof.
const maxDifferences = 1000

// verify proves read models, and with repair corrects the rows that differ.
func (m *Models) verify(w http.ResponseWriter, r *http.Request) error {
	body := struct {
		ReadModels []string `json:"readModels"`
		Repair     bool     `json:"repair"`
		Max        int      `json:"max"`
	}{Max: 20}
	if err := ReadJSON(w, r, &body); err != nil {
		return err
	}
	if body.Max < 0 || body.Max > maxDifferences {
		return Invalid(web.FieldError{Pointer: "/max", Detail: fmt.Sprintf("must be a number from 0 to %d", maxDifferences)})
	}
	some := m.Projections
	if len(body.ReadModels) > 0 {
		some = nil
		for i, name := range body.ReadModels {
			at := slices.IndexFunc(m.Projections, func(p *projection.Projection) bool { return p.Name == name })
			if at < 0 {
				return Invalid(web.FieldError{Pointer: fmt.Sprint("/readModels/", i), Detail: "must be one of " + strings.Join(m.names(), ", ")})
			}
			some = append(some, m.Projections[at])
		}
	}
	kind, names := "verify", []string{}
	if body.Repair {
		kind = "repair"
	}
	for _, p := range some {
		names = append(names, p.Name)
	}
	job, err := m.Jobs.start(kind, names, func(ctx context.Context, progress func(done, all int64)) (any, error) {
		proofs := []proof{}
		err := m.With(ctx, progress, func(models *operations.Models) error {
			all, err := models.Verify(ctx, some, body.Repair, body.Max)
			for _, p := range all {
				proofs = append(proofs, proofOf(p))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		return proofs, nil
	})
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusAccepted, job)
	return nil
}

// proof is the result of a verification for one read model.
type proof struct {
	ReadModel string `json:"readModel"`
	// Verdict is proven, mended (and proven), differs or not proven.
	Verdict    string `json:"verdict"`
	Generation int    `json:"generation"`
	Records    int64  `json:"records"`
	Accepted   int64  `json:"accepted"`
	Ignored    int64  `json:"ignored"`
	Deferred   int64  `json:"deferred"`
	Others     int64  `json:"others"`
	Elsewhere  int64  `json:"elsewhere"`
	Rows       int64  `json:"rows"`
	Streams    int64  `json:"streams"`
	Position   string `json:"position"`
	Digest     string `json:"digest"`
	// Differ and Mended are the numbers of places that differ, or were repaired.
	// The first of each are in words.
	Differ        int64           `json:"differ"`
	Differences   []string        `json:"differences"`
	Mended        int64           `json:"mended"`
	Repaired      []string        `json:"repaired"`
	ParkedStreams int64           `json:"parkedStreams"`
	Parked        []parkedInModel `json:"parked"`
	Seconds       float64         `json:"seconds"`
}

func proofOf(p *readmodel.Proof) proof {
	out := proof{
		ReadModel: p.Name, Verdict: "proven", Generation: p.Generation, Records: p.Records, Accepted: p.Accepted, Ignored: p.Ignored,
		Deferred: p.Deferred, Others: p.Others, Elsewhere: p.Elsewhere, Rows: p.Rows, Streams: p.Streams,
		Position: eventlog.EncodePosition(readmodel.PositionOf(p.Checkpoints)), Digest: p.Digest.String(),
		Differ: p.Differ, Differences: texts(p.Differences), Mended: p.Mended, Repaired: texts(p.Repaired),
		ParkedStreams: p.ParkedStreams, Parked: []parkedInModel{}, Seconds: p.Took.Seconds(),
	}
	switch {
	case p.Differ > 0:
		out.Verdict = "differs"
	case p.Elsewhere > 0:
		out.Verdict = "not proven"
	case p.Mended > 0:
		out.Verdict = "mended"
	}
	for i := range p.Parked {
		of := parkedOf(&p.Parked[i].ParkedStream)
		of.Applies = p.Parked[i].Applies
		out.Parked = append(out.Parked, of)
	}
	return out
}

func texts(differences []readmodel.Difference) []string {
	all := make([]string, 0, len(differences))
	for _, d := range differences {
		all = append(all, d.String())
	}
	return all
}
