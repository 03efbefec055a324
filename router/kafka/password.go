package kafka

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/router/kafka/connection"
)

// scramIterations is the least number of iterations that RFC 7677 allows.
const scramIterations = 4096

// ChangePassword changes the SCRAM password of the client's own user in the
// cluster.
func (k *Kafka) ChangePassword(ctx context.Context, password string) error {
	return within(ctx, func() error {
		security, err := k.security()
		if err != nil {
			return err
		}
		mechanism := sarama.SCRAM_MECHANISM_SHA_256
		if security.Mechanism == connection.ScramSHA512 {
			mechanism = sarama.SCRAM_MECHANISM_SHA_512
		}
		salt := make([]byte, 16)
		if _, err := rand.Read(salt); err != nil {
			return err
		}
		admin, err := k.clusterAdmin()
		if err != nil {
			return fmt.Errorf("change the password: %w", err)
		}
		defer func() { _ = admin.Close() }()
		results, err := admin.UpsertUserScramCredentials([]sarama.AlterUserScramCredentialsUpsert{{
			Name: security.User, Mechanism: mechanism, Iterations: scramIterations, Salt: salt, Password: []byte(password),
		}})
		for _, result := range results {
			if err == nil && result.ErrorCode != sarama.ErrNoError {
				err = result.ErrorCode
			}
		}
		if err != nil {
			return fmt.Errorf("change the password: %w", err)
		}
		return nil
	})
}
