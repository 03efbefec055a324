package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/operations"
	"github.com/millrace/millrace/router/statestore"
	"github.com/millrace/millrace/router/web"
)

type stateCmd struct {
	Export stateExportCmd `cmd:"" help:"Write the state store of a command service to a file, beside live traffic."`
	Import stateImportCmd `cmd:"" help:"Make the state store of a stopped command service from a file that export wrote."`
}

// statePath is the path of the export on the admin address.
const statePath = "/state"

type stateExportCmd struct {
	File      string `arg:"" help:"The file to write. The file must not exist." completion-predictor:"file"`
	TokenFile string `help:"A file with a token of scope operate, if the admin address asks for tokens." placeholder:"FILE" completion-predictor:"file"`
}

// Help says from where the export comes.
func (stateExportCmd) Help() string {
	return `The process at admin.address of this configuration writes the export, and goes on. If no process listens there, the
export is made from the folder data_dir.

The export is the state of the log at one moment, as of a second ago. A command service that starts with the export folds
only what has come since.`
}

// Run writes the export.
func (c stateExportCmd) Run(in *invocation) (err error) {
	cfg, err := in.load()
	if err != nil {
		return err
	}
	partial := c.File + ".partial"
	if _, err := os.Stat(c.File); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s exists", c.File)
	}
	file, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(partial)
		}
	}()
	err = c.export(in, cfg, file)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	info, err := os.Stat(partial)
	if err != nil {
		return err
	}
	if err := os.Rename(partial, c.File); err != nil {
		return err
	}
	fmt.Fprintf(in.stdout, "exported the state store to %s: %d bytes\n", c.File, info.Size())
	return nil
}

// export asks the running process, or reads the folder if no process runs.
func (c stateExportCmd) export(in *invocation, cfg config.Config, to io.Writer) error {
	err := c.exportRunning(in, cfg, to)
	var refused *net.OpError
	if !errors.As(err, &refused) || refused.Op != "dial" {
		return err
	}
	if _, err := os.Stat(cfg.StateDir()); err != nil {
		return fmt.Errorf("no process listens at admin.address %s, and there is no state store: %w", cfg.Admin.Address, err)
	}
	store, err := statestore.Open(stateOptions(in, cfg))
	if errors.Is(err, statestore.ErrInUse) {
		return fmt.Errorf("%w, and no process listens at admin.address %s: use the configuration of that process", err, cfg.Admin.Address)
	}
	if err != nil {
		return err
	}
	return errors.Join(store.Export(to), store.Close())
}

func stateOptions(in *invocation, cfg config.Config) statestore.Options {
	return statestore.Options{Dir: cfg.StateDir(), Memory: statestore.LeastMemory, Log: newLogger(cfg.Log, in.stderr)}
}

// exportRunning takes the export from the process at the admin address.
func (c stateExportCmd) exportRunning(in *invocation, cfg config.Config, to io.Writer) error {
	client, err := healthClient(cfg.TLS.Cert)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(in.ctx, http.MethodGet, httpURL(cfg, cfg.Admin.Address)+statePath, http.NoBody)
	if err != nil {
		return err
	}
	if c.TokenFile != "" {
		token, err := os.ReadFile(c.TokenFile)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusOK:
		_, err := io.Copy(to, response.Body)
		return err
	case http.StatusNotFound:
		return fmt.Errorf("the process at %s is no command service", cfg.Admin.Address)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("the process at %s wants a token of scope operate: name a file with --token-file", cfg.Admin.Address)
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10)) // the status says enough
	return fmt.Errorf("the process at %s answers %s: %s", cfg.Admin.Address, response.Status, strings.TrimSpace(string(text)))
}

// exportState serves the export of the state store.
func (m *Process) exportState(w http.ResponseWriter, r *http.Request) {
	store := m.stats.store.Load()
	if store == nil {
		web.WriteJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "the state store is not open yet"})
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // the export of a large store takes longer than other answers
	w.Header().Set("Content-Type", "application/x-tar")
	if r.Method == http.MethodHead {
		return
	}
	if err := store.Export(w); err != nil {
		m.Log.Warn("an export of the state store was not complete", "error", err)
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
}

type stateImportCmd struct {
	File    string `arg:"" help:"The file that export wrote." completion-predictor:"file"`
	Replace bool   `help:"Delete the state store that the folder has."`
}

// Help says what is checked.
func (stateImportCmd) Help() string {
	return `The command service of this configuration must be stopped. The export must be whole, and must fit this binary and the log:
Kafka must be reachable. An export that doesn't fit is refused, and the folder stays as it was.`
}

// Run imports the file.
func (c stateImportCmd) Run(in *invocation) error {
	cfg, err := in.load()
	if err != nil {
		return err
	}
	file, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	var folded int64
	err = statestore.Import(stateOptions(in, cfg), c.Replace, file, func(store *statestore.Store) (err error) {
		folded, err = fits(in, cfg, store)
		return err
	})
	switch {
	case errors.Is(err, statestore.ErrNotEmpty):
		return fmt.Errorf("%w: to delete it, add --replace", err)
	case err != nil:
		return fmt.Errorf("import %s: %w", filepath.Base(c.File), err)
	}
	fmt.Fprintf(in.stdout, "imported the state of %s to %s\n", count(folded, "record"), cfg.StateDir())
	return nil
}

// fits compares a state store with this binary and with the log, and returns the
// number of folded records.
func fits(in *invocation, cfg config.Config, store *statestore.Store) (int64, error) {
	log, err := openLog(in, cfg)
	if err != nil {
		return 0, err
	}
	defer func() { _ = log.reader.Close() }()
	sayTarget(in.stderr, cfg, false)
	ctx, stop := context.WithTimeoutCause(in.ctx, operations.Timeout, operations.ErrNoAnswer)
	defer stop()
	folded, err := log.states(in, cfg).Fits(ctx, store)
	if err != nil {
		return 0, why(ctx, err)
	}
	return folded, nil
}
