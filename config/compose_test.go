package config_test

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/millrace/millrace/router/config"
)

// composeFile is the part of docker-compose.yml that the tests read.
type composeFile struct {
	Services map[string]composeService
	Configs  map[string]struct{ File string }
	Secrets  map[string]struct{ File string }
	Volumes  map[string]any
}

type composeService struct {
	Image           string
	Build           string
	Command         []string
	Profiles        []string
	Ports           []string
	Environment     map[string]any
	Configs         []struct{ Source, Target string }
	Secrets         []string
	Volumes         []string
	DependsOn       map[string]struct{ Condition string } `yaml:"depends_on"`
	Healthcheck     map[string]any
	Restart         string
	ReadOnly        bool     `yaml:"read_only"`
	CapDrop         []string `yaml:"cap_drop"`
	SecurityOpt     []string `yaml:"security_opt"`
	MemLimit        string   `yaml:"mem_limit"`
	StopGracePeriod string   `yaml:"stop_grace_period"`
	Logging         struct{ Options map[string]string }
}

var (
	variable = regexp.MustCompile(`\$\{\w+:-([^}]*)\}`)
	// pinned is an image with a version, to the patch if the image has patches.
	pinned = regexp.MustCompile(`^[\w./-]+:v?(\d+\.\d+(\.\d+)?(-[\w.]+)?)$`)
	// published is a port on this machine only.
	published = regexp.MustCompile(`^127\.0\.0\.1:\d+:(\d+)$`)
)

// compose reads ../docker-compose.yml, with the defaults of its variables.
func compose(t *testing.T) composeFile {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file composeFile
	if err := yaml.Unmarshal(variable.ReplaceAll(text, []byte("$1")), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Services) == 0 {
		t.Fatal("there is no service in docker-compose.yml")
	}
	return file
}

// Every container runs an image of one version, has limits and no needless
// rights, and is reachable from this machine only.
func TestComposeServicesAreHardened(t *testing.T) {
	file := compose(t)
	for name, s := range file.Services {
		wrong := map[string]bool{
			"capabilities":            !slices.Contains(s.CapDrop, "ALL"),
			"new privileges":          !slices.Contains(s.SecurityOpt, "no-new-privileges:true"),
			"no memory limit":         s.MemLimit == "",
			"logs that grow for ever": s.Logging.Options["max-size"] == "" || s.Logging.Options["max-file"] == "",
			"no restart policy":       s.Restart == "",
		}
		if strings.HasPrefix(s.Image, "millrace:") {
			wrong["a root that it can write to"] = !s.ReadOnly
			wrong["no health check, or another than the image's"] = len(s.Healthcheck) > 0 && s.Restart != "no"
			wrong["an image that setup doesn't build"] = s.Image != file.Services["setup"].Image || file.Services["setup"].Build != "."
		} else {
			wrong["an image of no version: "+s.Image] = !pinned.MatchString(s.Image)
			wrong["no health check"] = s.Healthcheck["test"] == nil && len(s.Profiles) == 0 // nobody waits for those
		}
		for _, port := range s.Ports {
			wrong["a port that is not published on 127.0.0.1 alone: "+port] = !published.MatchString(port)
		}
		for what, is := range wrong {
			if is {
				t.Errorf("%s has %s", name, what)
			}
		}
	}
}

// The files and services that each service needs are there, the configuration
// loads, and the service listens on the published ports.
func TestComposeServicesFitTheirConfiguration(t *testing.T) {
	file := compose(t)
	inside := kafkaInside(t, file)
	for name, s := range file.Services {
		for other, dependency := range s.DependsOn {
			want := "service_healthy"
			if slices.Equal(file.Services[other].Command, []string{"setup"}) {
				want = "service_completed_successfully"
			}
			if _, ok := file.Services[other]; !ok || dependency.Condition != want {
				t.Errorf("%s waits for %s: %s, want %s", name, other, dependency.Condition, want)
			}
		}
		for _, secret := range s.Secrets {
			if _, err := os.Stat(filepath.Join("..", file.Secrets[secret].File)); err != nil || file.Secrets[secret].File == "" {
				t.Errorf("%s: secret %s: %v", name, secret, err)
			}
		}
		if len(s.Configs) == 0 {
			continue
		}
		if at := s.Environment["MILLRACE_CONFIG"]; at != s.Configs[0].Target {
			t.Errorf("%s: MILLRACE_CONFIG is %v, and its file %s", name, at, s.Configs[0].Target)
		}
		checkComposeConfig(t, name, s, inside, file)
	}
}

func checkComposeConfig(t *testing.T, name string, s composeService, inside string, file composeFile) {
	t.Helper()
	flags := map[string]string{}
	if slices.Contains(s.Secrets, "postgres_url") {
		flags["store.postgres.url_file"] = filepath.Join("..", file.Secrets["postgres_url"].File)
	}
	cfg, err := config.Load(filepath.Join("..", file.Configs[s.Configs[0].Source].File), nil, flags, service)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if !slices.Equal(cfg.Kafka.Brokers, []string{inside}) {
		t.Errorf("%s: kafka.brokers are %v, want %s", name, cfg.Kafka.Brokers, inside)
	}
	if grace, err := time.ParseDuration(s.StopGracePeriod); err != nil || grace <= cfg.ShutdownTimeout {
		t.Errorf("%s is killed after %s, and may take shutdown_timeout, %s", name, s.StopGracePeriod, cfg.ShutdownTimeout)
	}
	listens := []string{cfg.Admin.Address}
	if cfg.Has(config.CommandService) {
		listens = append(listens, cfg.CommandService.Address)
		if !mounts(s, cfg.DataDir) {
			t.Errorf("%s: no volume for its state store in %s", name, cfg.DataDir)
		}
	}
	if cfg.Has(config.QueryService) && s.Restart != "no" && !mounts(s, "/tmp") {
		t.Errorf("%s: no volume for the scratch database of app verify in /tmp", name)
	}
	if cfg.Has(config.ReadAPI) {
		listens = append(listens, cfg.ReadAPI.Address)
	}
	for _, port := range s.Ports {
		target := published.FindStringSubmatch(port)[1]
		if !slices.Contains(listens, net.JoinHostPort("0.0.0.0", target)) {
			t.Errorf("%s: port %s is published, and it listens on %v", name, target, listens)
		}
	}
}

// mounts says whether a volume is at a path of the container.
func mounts(s composeService, path string) bool {
	return slices.ContainsFunc(s.Volumes, func(v string) bool { return v == path || strings.HasSuffix(v, ":"+path) })
}

// imageVolumes are the volumes that the images of others declare.
var imageVolumes = map[string][]string{
	"kafka":      {"/etc/kafka/secrets", "/mnt/shared/config", "/var/lib/kafka/data"},
	"postgres":   {"/var/lib/postgresql/data"},
	"prometheus": {"/prometheus"},
}

// Each volume has a name: down --volumes leaves none, and down keeps all. Only the
// state store's has none, because each container of a scaled service needs its own.
func TestComposeVolumesHaveNames(t *testing.T) {
	file := compose(t)
	for name, s := range file.Services {
		for _, volume := range s.Volumes {
			if name == "command-service" && volume == "/var/lib/millrace" {
				continue
			}
			from, _, _ := strings.Cut(volume, ":")
			if _, named := file.Volumes[from]; !named && !strings.HasPrefix(from, "./") {
				t.Errorf("%s: volume %s has no name", name, volume)
			}
		}
		for _, path := range imageVolumes[name] {
			if !mounts(s, path) {
				t.Errorf("%s: the volume of the image at %s has no name", name, path)
			}
		}
	}
}

// The health check of the image forgives a wait for Kafka or the store.
func TestImageIsHealthyWhileItWaits(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "Dockerfile"))
	if err != nil || !strings.Contains(string(text), `CMD ["app", "health", "--waiting"]`) {
		t.Errorf("the health check is another, %v", err)
	}
}

// kafkaInside is Kafka's address for the other containers.
func kafkaInside(t *testing.T, file composeFile) string {
	t.Helper()
	advertised, _ := file.Services["kafka"].Environment["KAFKA_ADVERTISED_LISTENERS"].(string)
	for _, listener := range strings.Split(advertised, ",") {
		if address, ok := strings.CutPrefix(listener, "INSIDE://"); ok {
			return address
		}
	}
	t.Fatalf("there is no listener INSIDE in %q", advertised)
	return ""
}

// The images are of one version, and the program runs as a user without rights.
func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	var from []string
	user := ""
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 1 {
			switch words[0] {
			case "FROM":
				from = append(from, words[1])
			case "USER":
				user = words[1]
			}
		}
	}
	if user != "65532:65532" {
		t.Errorf("it runs as %q", user)
	}
	// distroless has no tags but its Debian's.
	if len(from) != 2 || !pinned.MatchString(from[0]) || from[1] != "gcr.io/distroless/static-debian12:nonroot" {
		t.Errorf("it is made of %q", from)
	}
}

// Prometheus, Grafana and the like start only in profile telemetry. The mounted
// files are there, and Prometheus asks the addresses of the services.
func TestComposeTelemetry(t *testing.T) {
	file := compose(t)
	for name, s := range file.Services {
		watches := !strings.HasPrefix(s.Image, "millrace:") && name != "kafka" && name != "postgres"
		if watches != slices.Equal(s.Profiles, []string{"telemetry"}) {
			t.Errorf("%s has profiles %q", name, s.Profiles)
		}
		for _, volume := range s.Volumes {
			if name == "command-service" && volume == "/var/lib/millrace" {
				continue
			}
			from, _, _ := strings.Cut(volume, ":")
			if _, err := os.Stat(filepath.Join("..", from)); strings.HasPrefix(from, "./") && (err != nil || !strings.HasSuffix(volume, ":ro")) {
				t.Errorf("%s mounts %s: %v", name, volume, err)
			}
		}
	}
	var prometheus struct {
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			JobName string `yaml:"job_name"`
			DNS     []struct {
				Names []string
				Port  string
			} `yaml:"dns_sd_configs"`
		} `yaml:"scrape_configs"`
	}
	text, err := os.ReadFile(filepath.Join("..", "deploy", "prometheus.yml"))
	if err == nil {
		err = yaml.Unmarshal(text, &prometheus)
	}
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]string{}
	for _, job := range prometheus.ScrapeConfigs {
		asked[job.JobName] = job.DNS[0].Names[0] + ":" + job.DNS[0].Port
	}
	for name, source := range file.Configs {
		flags := map[string]string{}
		if slices.Contains(file.Services[name].Secrets, "postgres_url") {
			flags["store.postgres.url_file"] = filepath.Join("..", file.Secrets["postgres_url"].File)
		}
		cfg, err := config.Load(filepath.Join("..", source.File), nil, flags, service)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, port, err := net.SplitHostPort(cfg.Admin.Address)
		if err != nil || asked[name] != net.JoinHostPort(name, port) {
			t.Errorf("prometheus asks %q of %s, which is at port %s", asked[name], name, port)
		}
	}
	if len(asked) != len(file.Configs) {
		t.Errorf("prometheus asks %v", asked)
	}
}
