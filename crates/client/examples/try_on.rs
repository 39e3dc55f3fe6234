//! Tries a garment on and shows how far it is.
//!
//! `TRYON_API_KEY=… cargo run -p tryon-client --example try_on -- http://127.0.0.1:8080 PERSON GARMENT OUT`

use std::{env, error::Error, fs};

use tryon_client::{Client, Clothes, Picture, Secret};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [url, person, garment, out] = &arguments[..] else {
        return Err("an address and three files are needed: PERSON GARMENT OUT".into());
    };
    let client = Client::new(url, Secret::new(env::var("TRYON_API_KEY")?))?;
    let picture = |path: &str| -> Result<Picture, Box<dyn Error>> {
        Ok(Picture::from_bytes(&fs::read(path)?)?)
    };
    let request = Clothes::new(picture(person)?, picture(garment)?);

    let job = client.submit(&request).await?;
    println!("job {job}");
    let done = client.wait_telling(job, |progress| println!("{progress:?}"));
    fs::write(out, client.download(&done.await?.outputs[0]).await?)?;
    println!("{} credits are left", client.credits().await?.on_demand);
    Ok(())
}
