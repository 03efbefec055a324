package console

import (
	"context"
	"net/http"
	"time"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/telemetry"
	"github.com/millrace/millrace/router/web"
)

// Settings is the view of the configuration in force, the build, and the topics
// and consumer groups.
type Settings struct {
	InForce []config.Setting
	Build   telemetry.Build
	Started time.Time
	// Topics asks Kafka.
	Topics func(context.Context) ([]Topic, error)
	// Groups asks Kafka.
	Groups func(context.Context) ([]Group, error)
}

// Topic is a topic of the service.
type Topic struct {
	Name       string           `json:"name"`
	Kept       int64            `json:"kept"` // messages
	Partitions []TopicPartition `json:"partitions"`
}

// TopicPartition has the offsets of a partition: the first message, and the
// place behind the last message.
type TopicPartition struct {
	Partition int32 `json:"partition"`
	First     int64 `json:"first"`
	End       int64 `json:"end"`
}

// Group is a consumer group of the service.
type Group struct {
	Name  string `json:"name"`
	Topic string `json:"topic"`
	// Lag is how many messages the group has not marked as done.
	Lag        int64            `json:"lag"`
	Partitions []GroupPartition `json:"partitions"`
}

// GroupPartition has the offset that a group has marked as done.
type GroupPartition struct {
	Partition int32 `json:"partition"`
	Committed int64 `json:"committed"`
	Lag       int64 `json:"lag"`
}

// kafkaTimeout bounds an answer from Kafka.
const kafkaTimeout = 5 * time.Second

// Routes adds the routes of the view.
func (s *Settings) Routes(api *API) {
	api.Get("/api/settings", s.settings)
	api.Get("/api/topics", s.topics)
}

// setting is a key in an answer.
type setting struct {
	Key         string `json:"key"`
	Value       string `json:"value"`
	Default     string `json:"default"`
	Source      string `json:"source"`
	Secret      bool   `json:"secret"`
	Environment string `json:"environment"`
	Description string `json:"description"`
}

func (s *Settings) settings(w http.ResponseWriter, _ *http.Request) error {
	all := make([]setting, 0, len(s.InForce))
	for _, f := range s.InForce {
		all = append(all, setting{f.Name, f.Value, f.Default, f.Source, f.Secret, f.Environment, f.Description})
	}
	web.WriteJSON(w, http.StatusOK, struct {
		Build    build     `json:"build"`
		Started  string    `json:"started"`
		Settings []setting `json:"settings"`
	}{build{s.Build.Version, s.Build.Revision, s.Build.GoVersion}, eventlog.FormatTime(s.Started), all})
	return nil
}

type build struct {
	Version   string `json:"version"`
	Revision  string `json:"revision"`
	GoVersion string `json:"goVersion"`
}

func (s *Settings) topics(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), kafkaTimeout)
	defer cancel()
	topics, err := s.Topics(ctx)
	if err != nil {
		return web.Unavailable("Kafka doesn't answer: " + err.Error())
	}
	groups, err := s.Groups(ctx)
	if err != nil {
		return web.Unavailable("Kafka doesn't answer: " + err.Error())
	}
	web.WriteJSON(w, http.StatusOK, map[string]any{"topics": topics, "groups": groups})
	return nil
}
