package console

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/millrace/millrace/router/service/servicetest"
)

// Each process shows its own part, and has links to the other processes.
func TestProcessesOfAService(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	broker := servicetest.Start(t, dir, "roles=broker")
	commands := servicetest.Start(t, dir, "roles=command-service", "kafka.brokers="+broker.Kafka, "admin.peers=broker="+broker.Admin)
	queries := servicetest.Start(t, dir, "roles=query-service,read-api", "kafka.brokers="+broker.Kafka, "admin.peers=broker="+broker.Admin+",command-service="+commands.Admin)
	commands.Post(`{"type":"createUser","payload":{"id":"alice","name":"Alice"}}`, "Prefer", "wait=10").Want(200, "succeeded")
	for name, process := range map[string]struct {
		s      *servicetest.Service
		tiles  int
		charts int
	}{
		"broker": {broker, 1, 0}, "commands": {commands, 5, 2}, "queries": {queries, 4, 2},
	} {
		w := open(t, process.s, "#/overview", wide)
		w.shows("Live")
		w.wait("the tiles of the roles are there", "document.querySelectorAll('.stat').length === "+strconv.Itoa(process.tiles))
		w.wait("the charts of the roles are there", "document.querySelectorAll('.chart').length === "+strconv.Itoa(process.charts))
		w.shot("process-" + name)
		w.accessible()
		w.visit("#/log")
		w.shows("user/alice")
		w.visit("#/settings")
		w.shows("millrace.command-service")
	}
	w := open(t, queries, "", wide)
	w.shows("Peers")
	if at := value[string](w, "[...document.querySelectorAll('.side a')].find((a) => a.textContent === 'command-service').href"); at != commands.Admin+"/" {
		t.Errorf("the link to the command service goes to %s", at)
	}
	// A page of a peer may ask the read API; another page may not.
	for origin, allowed := range map[string]string{commands.Admin: commands.Admin, "http://localhost:1": ""} {
		got := queries.Ask(http.MethodGet, queries.Queries+"/users", "", "Origin", origin).Header
		if got.Get("Access-Control-Allow-Origin") != allowed || got.Get("Access-Control-Allow-Credentials") == "true" != (allowed != "") {
			t.Errorf("to a page of %s the read API says %v", origin, got)
		}
	}
}
