//! Messages that the gateway sent.

use tryon_client::{
    DeliveryState, Job, Paging, Secret, Status,
    webhook::{Verifier, WebhookFault},
};
use tryon_testkit::receiver::Receiver;

use crate::stage::{Stage, clothes, soon, wait};

#[tokio::test]
async fn a_message_of_the_gateway_is_known_and_a_forged_one_is_not() {
    let (stage, receiver) = (Stage::start().await, Receiver::start().await);
    stage.deliver();
    let client = stage.client();
    let request = clothes().webhook_url(receiver.url("/ended"));
    let done = soon(client.run(request)).await.unwrap();
    let sent = receiver.next("/ended").await;

    let verifier = Verifier::new(&client.webhook_secret().await.unwrap()).unwrap();
    let message = verifier.open(&sent.headers, &sent.body).unwrap();
    let (id, outputs) = (done.job, done.outputs);
    let status = Status::Completed { outputs };
    assert_eq!(message.job, Job { id, status });
    assert_eq!(message.id, format!("msg_{id}"));

    let changed = [&sent.body[..], b" "].concat();
    let fault = verifier.open(&sent.headers, &changed).unwrap_err();
    assert!(matches!(fault, WebhookFault::Forged), "{fault}");
    let other = Verifier::new(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap();
    let fault = other.open(&sent.headers, &sent.body).unwrap_err();
    assert!(matches!(fault, WebhookFault::Forged), "{fault}");

    wait("the delivery to be noted", async || {
        let delivery = client.get_delivery(id).await.unwrap();
        delivery.state == DeliveryState::Delivered
    })
    .await;
    let log = client.list_deliveries(Paging::default()).await.unwrap();
    let delivery = &log.entries[0];
    assert_eq!((delivery.job, delivery.tries[0].status), (id, Some(200)));
    assert_eq!(delivery.url, receiver.url("/ended"));

    client.replay(id).await.unwrap();
    let again = receiver.next("/ended").await;
    assert_eq!(verifier.open(&again.headers, &again.body).unwrap(), message);
}
