//! What an account sees of itself.

use std::time::SystemTime;

use tryon_api::node::{CheckReport, MaskReport};
use tryon_client::{
    Category, Clothes, ErasureStatus, Error, Masking, Mode, OutputFormat, Paging, Picture,
    Rectangle, Status, Task,
};
use tryon_testkit::upload;

use crate::stage::{CREDITS, Stage, clothes, soon};

#[tokio::test]
async fn jobs_are_listed_page_by_page() {
    let stage = Stage::start().await;
    stage.deliver();
    let client = stage.client();
    let began = SystemTime::now();
    let request = clothes().output_format(OutputFormat::Jpeg);
    let first = soon(client.run(request)).await.unwrap();
    let second = client.submit(clothes()).await.unwrap();

    let mut paging = Paging {
        limit: Some(1),
        after: None,
    };
    let page = client.list_jobs(paging).await.unwrap();
    assert_eq!((page.entries.len(), page.entries[0].id), (1, second));
    paging.after = page.next;
    let page = client.list_jobs(paging).await.unwrap();
    let listed = &page.entries[0];
    assert_eq!(listed.id, first.job);
    assert_eq!(
        listed.status,
        Status::Completed {
            outputs: first.outputs
        }
    );
    assert_eq!(
        (listed.task, listed.num_samples, listed.credits),
        (Task::Clothes, 1, 1)
    );
    assert_eq!(listed.output_format, OutputFormat::Jpeg);
    assert_eq!(listed.person_image, "<base64>");
    let ended = listed.ended_at.unwrap();
    assert!(ended >= listed.created_at);
    assert!(
        listed
            .created_at
            .duration_since(began)
            .is_ok_and(|it| it.as_secs() < 60)
    );

    paging.after = page.next;
    assert_eq!(client.list_jobs(paging).await.unwrap().entries, []);
    assert_eq!(
        client
            .list_jobs(Paging::default())
            .await
            .unwrap()
            .entries
            .len(),
        2
    );
}

#[tokio::test]
async fn credits_are_told() {
    let stage = Stage::start().await;
    let client = stage.client();
    client.submit(clothes().samples(3)).await.unwrap();
    let credits = client.credits().await.unwrap();
    assert_eq!(
        (credits.purchased, credits.reserved),
        (u64::from(CREDITS), 3)
    );
    assert_eq!(credits.on_demand, u64::from(CREDITS) - 3);
}

#[tokio::test]
async fn what_is_erased_is_gone_and_there_is_a_receipt() {
    let stage = Stage::start().await;
    stage.deliver();
    let client = stage.client();
    let done = soon(client.run(clothes().end_user("customer/1042")))
        .await
        .unwrap();
    let receipt = client.erase(done.job).await.unwrap();
    assert_eq!((receipt.job, receipt.jobs), (Some(done.job), 1));
    assert_eq!(receipt.status, ErasureStatus::Finished);
    let outputs = receipt
        .deleted
        .pictures
        .iter()
        .find(|it| it.folder == "outputs");
    assert_eq!(outputs.unwrap().count, 1);
    assert!(!receipt.kept.is_empty() && !receipt.deleted.database.is_empty());
    assert_eq!(client.get_erasure(receipt.id).await.unwrap(), receipt);
    let error = client.download(&done.outputs[0]).await.unwrap_err();
    assert!(matches!(error, Error::Refused(refusal) if refusal.status == 410));

    let other = soon(client.run(clothes().end_user("customer/1042")))
        .await
        .unwrap();
    let receipt = client.erase_end_user("customer/1042").await.unwrap();
    assert_eq!(receipt.job, None);
    assert!(receipt.jobs >= 1, "{receipt:?}");
    let error = client.download(&other.outputs[0]).await.unwrap_err();
    assert!(matches!(error, Error::Refused(refusal) if refusal.status == 410));
}

#[tokio::test]
async fn an_upload_is_sent_once_for_several_jobs() {
    let stage = Stage::start().await;
    stage.deliver();
    let client = stage.client();
    let garment = client.upload(upload::png(48, 64)).await.unwrap();
    assert!(garment.expires_at > SystemTime::now());
    for _ in 0..2 {
        let person = Picture::from_bytes(&upload::png(48, 64)).unwrap();
        let request = Clothes::new(person, garment.picture.clone());
        soon(client.run(request)).await.unwrap();
    }
    client.erase_upload(garment.id).await.unwrap();
    let person = Picture::from_bytes(&upload::png(48, 64)).unwrap();
    let refused = client.submit(Clothes::new(person, garment.picture)).await;
    let error = refused.unwrap_err();
    assert!(error.to_string().contains("upload"), "{error}");
    let nothing = client.upload(b"GIF89a".to_vec()).await.unwrap_err();
    assert!(nothing.to_string().contains("GIF"), "{nothing}");
}

#[tokio::test]
async fn a_picture_is_checked_before_there_is_a_job() {
    let stage = Stage::start().await;
    let client = stage.client();
    let picture = |file| Picture::from_bytes(file).unwrap();
    let (sound, cut_off) = (
        picture(&upload::png(48, 64)),
        picture(&upload::truncated(upload::noise(64, 64))),
    );
    let request = Clothes::new(sound.clone(), cut_off)
        .category(Category::Jewelry)
        .subcategory("necklace")
        .mode(Mode::Quality);
    let unknown = client.check_person(&request).await.unwrap();
    assert!(unknown.usable);
    assert_eq!(unknown.masking, Some(Masking::Unknown));
    let region = Rectangle {
        x: 0.25,
        y: 0.5,
        w: 0.5,
        h: 0.25,
    };
    stage.node.set_check(CheckReport {
        mask: Some(MaskReport { share: 0.1, region }),
        error: None,
    });
    let person = client.check_person(&request).await.unwrap();
    assert_eq!(person.masking, Some(Masking::Parsed));
    assert_eq!(person.mask.unwrap().region, region);
    let asked = stage.node.checks().pop().unwrap();
    assert_eq!(asked.config()["category"], "jewelry");
    let garment = client.check_garment(&request).await.unwrap();
    assert_eq!((garment.usable, garment.masking), (false, None));
    assert_eq!(garment.failure.unwrap().name, "ImageLoadError");
}
