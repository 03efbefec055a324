package openapi

import (
	"os"
	"testing"

	"github.com/millrace/millrace/router/service/servicetest"
)

// top is the top of the tree, seen from here.
const top = "../.."

func TestMain(m *testing.M) { servicetest.Main(m, domain) }

// start starts the service. With $KAFKA_BROKERS and $POSTGRES_URL the service works
// on these servers, and has all roles but the broker.
func start(t *testing.T, settings ...string) *servicetest.Service {
	t.Helper()
	if brokers := os.Getenv("KAFKA_BROKERS"); brokers != "" {
		settings = append(settings, "roles=command-service,query-service,read-api", "kafka.brokers="+brokers, "kafka.topic_prefix="+topicPrefix(t, brokers))
	}
	if server := os.Getenv("POSTGRES_URL"); server != "" {
		settings = append(settings, "store.driver=postgres", "store.postgres.url="+newSchema(t, server))
	}
	return servicetest.Start(t, t.TempDir(), settings...)
}

// printed is the document that the program prints: all addresses in one, the
// admin address too, which serves no document.
func printed(t *testing.T) []byte {
	t.Helper()
	return []byte(servicetest.Run(t, t.TempDir(), "docs", "openapi"))
}
