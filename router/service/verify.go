package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/readmodel"
)

type verifyCmd struct {
	Names  []string `arg:"" optional:"" name:"read-model" help:"The read models to verify; all, if none is named." completion-predictor:"read-model"`
	Repair bool     `help:"Repair the rows that differ, and no others."`
	Max    int      `default:"20" help:"How many differences, and parked streams, to show of each read model."`
}

// Help explains the proof and the exit codes.
func (verifyCmd) Help() string {
	return `The whole log is folded anew into a scratch database in the folder for temporary files ($TMPDIR), up to the record
where the read model stands. Then all rows are compared. All services keep running.

Exit code 0: all rows are as the log makes the rows; 1: some row differs (with --repair: and could not be repaired), or
the log has records in other partitions than their streams'.`
}

var (
	errDiffers   = errors.New("a read model is not what the log makes of it")
	errElsewhere = errors.New("the log has records in other partitions than their streams', and proves nothing: was kafka.partitions another number once?")
)

// Run verifies read models, and prints the proof or the differences.
func (c verifyCmd) Run(in *invocation) error {
	models, err := in.service.named(c.Names...)
	if err != nil {
		return err
	}
	return withProgress(in, func(ctx context.Context, session *adminSession) error {
		proofs, err := session.Verify(ctx, models, c.Repair, c.Max)
		if err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		for _, proof := range proofs {
			printProof(session.stdout, proof)
			switch {
			case proof.Differ > 0:
				err = errDiffers
			case proof.Elsewhere > 0 && err == nil:
				err = errElsewhere
			}
		}
		return err
	})
}

// printProof prints the result for one read model.
func printProof(w io.Writer, p *readmodel.Proof) {
	verdict := "proven"
	switch {
	case p.Differ > 0:
		verdict = "DIFFERS from the log"
	case p.Elsewhere > 0:
		verdict = "NOT PROVEN"
	case p.Mended > 0:
		verdict = "mended, and proven"
	}
	fmt.Fprintf(w, "%s: %s, in %s\n", p.Name, verdict, p.Took.Round(time.Millisecond))
	fmt.Fprintf(w, "  log       %s: %d accepted, %d ignored%s%s\n", count(p.Records, "record"), p.Accepted, p.Ignored, deferred(p.Deferred), others(p.Others))
	if p.Elsewhere > 0 {
		fmt.Fprintf(w, "  elsewhere %s in other partitions than their streams', and ignored\n", count(p.Elsewhere, "record"))
	}
	fmt.Fprintf(w, "  compared  %s and %s of generation %d\n", count(p.Rows, "row"), count(p.Streams, "stream"), p.Generation)
	fmt.Fprintf(w, "  position  %s\n", eventlog.EncodePosition(readmodel.PositionOf(p.Checkpoints)))
	fmt.Fprintf(w, "  digest    %s\n", p.Digest)
	if p.ParkedStreams > 0 {
		fmt.Fprintf(w, "  parked    %s, compared as they stood when they were parked\n", count(p.ParkedStreams, "stream"))
		for _, parked := range p.Parked {
			fmt.Fprintf(w, "    %s\n", parkedText(parked.ParkedStream))
			if parked.Applies {
				fmt.Fprintf(w, "      this binary can go on there: %s projections retry %s %s\n", program, p.Name, parked.Stream)
			}
		}
		more(w, p.ParkedStreams, len(p.Parked))
	}
	printDifferences(w, "mended", p.Mended, p.Repaired)
	printDifferences(w, "differs", p.Differ, p.Differences)
}

func printDifferences(w io.Writer, what string, n int64, first []readmodel.Difference) {
	if n == 0 {
		return
	}
	fmt.Fprintf(w, "  %-8s  %s\n", what, count(n, "place"))
	rows := 0
	for i, d := range first {
		fmt.Fprintf(w, "    %s\n", d)
		if i == 0 || !d.SameRow(first[i-1]) {
			rows++
		}
	}
	more(w, n, rows)
}

func more(w io.Writer, all int64, shown int) {
	if rest := all - int64(shown); rest > 0 {
		fmt.Fprintf(w, "    and %d more\n", rest)
	}
}

func deferred(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d of parked streams", n)
}

func others(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d of other aggregates", n)
}

func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
